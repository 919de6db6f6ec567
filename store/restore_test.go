package store_test

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

// dump writes the database into a file, as it is at this moment.
func (p *place) dump(file string) {
	p.Helper()
	u, err := url.Parse(p.url)
	must(p, err)
	q := u.Query()
	q.Del("idle_in_transaction_session_timeout") // libpq has it among the options, and not by name
	u.RawQuery = q.Encode()
	postgres(p, "pg_dump", "--format=custom", "--file="+file, u.String())
}

// restored is a database on another server, made of a dump.
func restored(t *testing.T, server, name, file string) *place {
	t.Helper()
	storetest.Exec(t, server, `CREATE DATABASE `+name)
	u, err := url.Parse(server)
	must(t, err)
	u.Path = name
	postgres(t, "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+u.String(), file)
	at := withParameter(u.String(), "idle_in_transaction_session_timeout", "0")
	return &place{TB: t, DB: storetest.Open(t, at, 6), url: u.String()}
}

func postgres(t testing.TB, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(time.Minute))
	defer cancel()
	if out, err := exec.CommandContext(ctx, localtest.PostgresProgram(t, program), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// ids is the id that the next transaction of the server gets.
func ids(t testing.TB, p *place) int64 {
	t.Helper()
	return value[int64](t, p.SQL(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
}

// The real thing: dumped while others write, restored by pg_restore into a
// server whose ids are lower, and from there into one whose ids are higher.
// A reader in the middle of an interval goes on from where it was, each time.
func TestADumpGoesOnInAnotherServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, away := newPlace(t, 8), localtest.AnotherDatabase(t)
	var committed, read []uuid.UUID
	say := func(p *place, events ...event.Any) {
		must2(p.Admit(t.Context(), events, true))(t)
		committed = append(committed, idsOf(events)...)
	}
	life := func(p *place, file string) {
		ticker, reader := p.newTicker(), p.newReader("relay")
		read = append(read, reader.readAll(3)...)
		open, late := p.begin(), p.begin()
		must(t, open.Append(t.Context(), anySales(2))) // not committed when the dump is made: lost with this server
		lateSays := anySales(2)
		must(t, late.Append(t.Context(), lateSays))
		for range 3 {
			say(p, anySales(4)...)
			ticker.tick()
		}
		read = append(read, reader.readAll(5)...)
		must(t, late.Commit())
		committed = append(committed, idsOf(lateSays)...)
		say(p, anySales(6)...)
		ticker.tick()
		page, err := reader.ReadPage(t.Context(), reader.at, 4) // of 8
		must(t, err)
		must(t, reader.MoveCursor(t.Context(), reader.at, page.Next))
		for _, e := range page.Events {
			read = append(read, e.EventID)
		}
		say(p, sale("unticked"))
		p.dump(file)
		must(t, open.Commit())
		must2(p.Admit(t.Context(), anySales(5), true))(t) // lost, too
		ticker.tick()
	}
	there := filepath.Join(dir, "there")
	life(home, there)
	second := restored(t, away, "second", there)
	if ids(t, second) >= ids(t, home) {
		t.Fatal("the other server's ids are not lower: the test proves nothing")
	}
	isError(t, second.CheckEpoch(t.Context()), store.ErrRestored)
	second.turn()
	back := filepath.Join(dir, "back")
	life(second, back)
	name := fmt.Sprintf("third_%d", time.Now().UnixNano())
	third := restored(t, localtest.Database(t), name, back)
	t.Cleanup(func() { must(t, storetest.Drop(localtest.Database(t), name)) })
	if ids(t, third) <= value[int64](t, second.SQL(), `SELECT max(tx::text::bigint) FROM event_log WHERE epoch = 2`) {
		t.Fatal("the third server's ids are not higher: the test proves nothing")
	}
	isError(t, third.CheckEpoch(t.Context()), store.ErrRestored)
	third.turn()
	ticker, reader := third.newTicker(), third.newReader("relay")
	say(third, anySales(3)...)
	ticker.tick()
	read = append(read, reader.readAll(2)...)
	count := map[uuid.UUID]int{}
	for _, id := range read {
		count[id]++
	}
	for _, id := range committed {
		if count[id] != 1 {
			t.Errorf("event %d of %d was read %d times", slices.Index(committed, id), len(committed), count[id])
		}
	}
	if len(read) != len(committed) {
		t.Errorf("%d events were read of %d", len(read), len(committed))
	}
}
