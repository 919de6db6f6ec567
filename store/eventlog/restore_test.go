package eventlog_test

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
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// dump writes the database into a file.
func dump(p *storetest.Env, file string) {
	p.Helper()
	u, err := url.Parse(p.URL)
	storetest.Must(p, err)
	q := u.Query()
	q.Del("idle_in_transaction_session_timeout") // libpq has it among the options, and not by name
	u.RawQuery = q.Encode()
	postgres(p, "pg_dump", "--format=custom", "--file="+file, u.String())
}

// restored is a database on another server, restored from a dump.
func restored(t *testing.T, server, name, file string) *storetest.Env {
	t.Helper()
	storetest.Exec(t, server, `CREATE DATABASE `+name)
	u, err := url.Parse(server)
	storetest.Must(t, err)
	u.Path = name
	postgres(t, "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+u.String(), file)
	at := storetest.WithParameter(u.String(), "idle_in_transaction_session_timeout", "0")
	return &storetest.Env{TB: t, DB: storetest.Open(t, at, 6), URL: u.String()}
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
func ids(t testing.TB, p *storetest.Env) int64 {
	t.Helper()
	return storetest.One[int64](t, p.SQL(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
}

// A real dump, made while others write, is restored by pg_restore into a server with lower ids, and from there into
// one with higher ids. A reader in the middle of an interval goes on from its cursor, each time.
func TestADumpGoesOnInAnotherServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, away := storetest.NewEnv(t, 8), localtest.AnotherDatabase(t)
	useIDs(home)
	var committed, read []uuid.UUID
	appendNumbered := func(p *storetest.Env, events ...event.Any) {
		storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, events, true))(t)
		committed = append(committed, storetest.IDs(events)...)
	}
	life := func(p *storetest.Env, file string) {
		ticker, reader := p.NewTicker(), p.NewReader("relay")
		read = append(read, reader.ReadAll(3)...)
		open, late := p.OpenTx(), p.OpenTx()
		// Not committed when the dump is made: lost with this server.
		storetest.Must(t, eventlog.Append(t.Context(), open, storetest.Sales(2)))
		lateSays := storetest.Sales(2)
		storetest.Must(t, eventlog.Append(t.Context(), late, lateSays))
		for range 3 {
			appendNumbered(p, storetest.Sales(4)...)
			ticker.Tick()
		}
		read = append(read, reader.ReadAll(5)...)
		storetest.Must(t, late.Commit())
		committed = append(committed, storetest.IDs(lateSays)...)
		appendNumbered(p, storetest.Sales(6)...)
		ticker.Tick()
		page, err := eventlog.ReadPage(t.Context(), reader.Env.DB, reader.At, 4) // of 8
		storetest.Must(t, err)
		storetest.Must(t, eventlog.MoveCursor(t.Context(), reader.Env.DB, reader.At, page.Next))
		for _, e := range page.Events {
			read = append(read, e.EventID)
		}
		appendNumbered(p, storetest.Sale("unticked"))
		dump(p, file)
		storetest.Must(t, open.Commit())
		storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, storetest.Sales(5), true))(t) // lost, too
		ticker.Tick()
	}
	there := filepath.Join(dir, "there")
	life(home, there)
	second := restored(t, away, "second", there)
	if ids(t, second) >= ids(t, home) {
		t.Fatal("the other server's ids are not lower: the test proves nothing")
	}
	storetest.IsError(t, eventlog.CheckEpoch(t.Context(), second.DB), eventlog.ErrRestored)
	beginEpoch(second)
	back := filepath.Join(dir, "back")
	life(second, back)
	name := fmt.Sprintf("third_%d", time.Now().UnixNano())
	third := restored(t, localtest.Database(t), name, back)
	t.Cleanup(func() { storetest.Must(t, storetest.Drop(localtest.Database(t), name)) })
	if ids(t, third) <= storetest.One[int64](t, second.SQL(), `SELECT max(tx::text::bigint) FROM event_log WHERE epoch = 2`) {
		t.Fatal("the third server's ids are not higher: the test proves nothing")
	}
	storetest.IsError(t, eventlog.CheckEpoch(t.Context(), third.DB), eventlog.ErrRestored)
	beginEpoch(third)
	ticker, reader := third.NewTicker(), third.NewReader("relay")
	appendNumbered(third, storetest.Sales(3)...)
	ticker.Tick()
	read = append(read, reader.ReadAll(2)...)
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
