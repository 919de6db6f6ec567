package seal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
)

// sealed appends events and seals them in ranges: one a call, with a position between two that no event has.
func sealed(t *testing.T, p *storetest.Env, ticker *storetest.Ticker, calls, events int) {
	t.Helper()
	for range calls {
		storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, storetest.Sales(events), true))(t)
		p.Exec(`SELECT nextval('event_log_seq')`)
		ticker.Tick()
		awaitSealed(t, p)
	}
}

// awaitSealed seals until nothing is left to be: another test's transaction on the server may delay it.
func awaitSealed(t *testing.T, p *storetest.Env) {
	t.Helper()
	storetest.Eventually(t, "the log is sealed", func() bool {
		storetest.MustGet(seal.Seal(t.Context(), p.DB))(t)
		return storetest.MustGet(seal.Read(t.Context(), p.DB))(t).Unsealed == 0
	})
}

func verify(t *testing.T, p *storetest.Env, receipts ...seal.Receipt) seal.Report {
	t.Helper()
	return storetest.MustGet(seal.Verify(t.Context(), p.DB, receipts, nil, nil, nil))(t)
}

// show is a report's findings, a line each.
func show(r seal.Report) string {
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("%s at %d of seal %d: %s", f.Kind, f.Seq, f.Seal, f.What))
	}
	return strings.Join(lines, "\n")
}

// Each kind of change is found, and the event is named by its position; what was undone is not found.
func TestEachChangeOfASealedLogIsFound(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	sealed(t, p, p.NewTicker(), 3, 5) // positions 1 to 5, 7 to 11 and 13 to 17
	if r := verify(t, p); r.Found != 0 || r.Events != 15 || r.Seals != 3 || r.Unsealed != 0 || r.SealedAt == nil {
		t.Fatalf("of a log that is as it was: %+v", r)
	}
	p.Exec(`CREATE TABLE kept AS SELECT * FROM event_log`)
	p.Exec(`CREATE TABLE kept_seals AS SELECT * FROM log_seal`)
	const row = `tx, epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body`
	edited := func(change string) string { return `UPDATE event_log SET ` + change + ` WHERE seq = 9` }
	for name, c := range map[string]struct {
		change string
		want   []string // of each finding: kind and position
	}{
		"body":                        {edited(`body = replace(body, '"quantity":1', '"quantity":2')`), []string{"edited 9"}},
		"white space in the body":     {edited(`body = body || ' '`), []string{"edited 9"}},
		"body with its hash":          {edited(`body = body || ' ', body_sha256 = sha256(convert_to(body || ' ', 'UTF8'))`), []string{"edited 9"}},
		"tenant":                      {edited(`tenant_id = 'other'`), []string{"edited 9"}},
		"type":                        {edited(`type = 'STOCK_COUNTED'`), []string{"edited 9"}},
		"version":                     {edited(`version = '1.1'`), []string{"edited 9"}},
		"aggregate":                   {edited(`aggregate_id = 'other'`), []string{"edited 9"}},
		"id":                          {edited(`event_id = gen_random_uuid()`), []string{"edited 9"}},
		"business time":               {edited(`occurred_at = occurred_at + interval '1 microsecond'`), []string{"edited 9"}},
		"time of logging":             {edited(`logged_at = logged_at - interval '1 microsecond'`), []string{"edited 9"}},
		"no time of logging":          {edited(`logged_at = NULL`), []string{"edited 9"}},
		"whether it is published":     {edited(`publish = NOT publish`), []string{"edited 9"}},
		"text moved to the neighbour": {edited(`version = '', aggregate_id = version || aggregate_id`), []string{"edited 9"}},
		"removed":                     {`DELETE FROM event_log WHERE seq = 9`, []string{"removed 9"}},
		"removed last":                {`DELETE FROM event_log WHERE seq > 16`, []string{"removed 17"}},
		"all removed":                 {`DELETE FROM event_log WHERE seq > 15`, []string{"removed 16", "removed 17"}},
		"moved":                       {`UPDATE event_log SET seq = 6 WHERE seq = 5`, []string{"inserted 6", "removed 5"}},
		"inserted between":            {`INSERT INTO event_log (seq, ` + row + `) SELECT 12, ` + row + ` FROM event_log WHERE seq = 9`, []string{"inserted 12"}},
		"inserted before":             {`INSERT INTO event_log (seq, ` + row + `) SELECT 0, ` + row + ` FROM event_log WHERE seq = 9`, []string{"inserted 0"}},
		"two exchanged": {`UPDATE event_log e SET event_id = o.event_id, body = o.body, body_sha256 = o.body_sha256
			FROM event_log o WHERE (e.seq, o.seq) IN ((8, 9), (9, 8))`, []string{"edited 8", "edited 9"}},
		"seal's hash":        {`UPDATE log_seal SET hash = sha256('x') WHERE id = 2`, []string{"chain 0", "chain 0"}},
		"seal's digests":     {`UPDATE log_seal SET digests = substr(digests, 1, 79) || '\x00' WHERE id = 2`, []string{"edited 11"}},
		"seal's digests cut": {`UPDATE log_seal SET digests = substr(digests, 1, 70) WHERE id = 2`, []string{"chain 0", "inserted 7", "inserted 8", "inserted 9", "inserted 10", "inserted 11"}},
		"seal's end":         {`UPDATE log_seal SET last_seq = 13 WHERE id = 2`, []string{"inserted 13", "chain 0"}},
		"seal removed":       {`DELETE FROM log_seal WHERE id = 2`, []string{"chain 0", "chain 0"}},
		"nothing":            {`SELECT 1`, nil},
	} {
		p.Exec(c.change)
		r := verify(t, p)
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Seq))
			if (f.Kind == seal.Edited || f.Kind == seal.Inserted) && (f.EventID == nil || f.Type == "") {
				t.Errorf("%s: the event is not named: %+v", name, f)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: want %s, got\n%s", name, c.want, show(r))
		}
		p.Exec(`DELETE FROM event_log`)
		p.Exec(`INSERT INTO event_log SELECT * FROM kept`)
		p.Exec(`DELETE FROM log_seal`)
		p.Exec(`INSERT INTO log_seal SELECT * FROM kept_seals`)
	}
	if r := verify(t, p); r.Found != 0 {
		t.Errorf("of a log that is as it was:\n%s", show(r))
	}
}

// A role that may write every table makes the chain anew: the last receipt finds it, and so it does a log that was cut.
func TestAChainMadeAnewIsFoundByTheReceipt(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	storetest.Must(t, seal.CreateKey(key))
	private, public := storetest.MustGet(seal.ReadPrivateKey(key))(t), storetest.MustGet(seal.ReadPublicKey(key+seal.PublicSuffix))(t)
	if err := seal.CreateKey(key); err == nil {
		t.Error("a key was replaced")
	}
	if info := storetest.MustGet(os.Stat(key))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("the key is readable by others: %s", info.Mode())
	}
	ticker := p.NewTicker()
	sealed(t, p, ticker, 3, 5)
	receipts := filepath.Join(dir, "receipts")
	receipt := storetest.MustGet(seal.Prepare(t.Context(), p.DB, "proven", storetest.Morning))(t)
	receipt = storetest.MustGet(receipt.Sign(private))(t)
	path := storetest.MustGet(receipt.Write(receipts))(t)
	sealed(t, p, ticker, 1, 5)
	read := func() ([]seal.Receipt, []seal.Finding) {
		signed, others, err := seal.ReadReceipts(receipts, public)
		storetest.Must(t, err)
		return signed, others
	}
	signed, others := read()
	if r := verify(t, p, signed...); r.Found != 0 || len(others) != 0 || r.Receipts != 1 || r.Signed != 15 || !r.SignedAt.Equal(storetest.Morning) {
		t.Fatalf("of a log that is as it was: %+v, %v", r, others)
	}

	// The log is edited with every hash in it, and sealed again.
	p.Exec(`UPDATE event_log SET tenant_id = 'other', body = body || ' ', body_sha256 = sha256(convert_to(body || ' ', 'UTF8')) WHERE seq = 9`)
	p.Exec(`DELETE FROM log_seal`)
	awaitSealed(t, p)
	if r := verify(t, p); r.Found != 0 {
		t.Fatalf("a chain that was made anew is whole, and is not:\n%s", show(r))
	}
	if r := verify(t, p, signed...); r.Found == 0 || r.Findings[0].Kind != seal.Chain || !strings.Contains(r.Findings[0].What, "2026-02-09T12:00:00Z") {
		t.Errorf("want the receipt to find the chain that was made anew, got\n%s", show(r))
	}

	// The log is cut, and its chain with it.
	p.Exec(`DELETE FROM log_seal`)
	p.Exec(`DELETE FROM event_log WHERE seq > 3`)
	awaitSealed(t, p)
	if r := verify(t, p, signed...); r.Found != 1 || !strings.Contains(r.Findings[0].What, "the log was cut") && !strings.Contains(r.Findings[0].What, "made anew") {
		t.Errorf("want the receipt to find that the log was cut, got\n%s", show(r))
	}

	// The receipt itself is changed, or another key signs it.
	text := storetest.MustGet(os.ReadFile(path))(t)
	storetest.Must(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"lastSeq": `, `"lastSeq": 1`, 1)), 0o644))
	if signed, others := read(); len(signed) != 0 || len(others) != 1 || others[0].Kind != seal.Unsigned {
		t.Errorf("a receipt that was changed is taken: %v, %v", signed, others)
	}
	other := filepath.Join(dir, "other")
	storetest.Must(t, seal.CreateKey(other))
	forged := storetest.MustGet(receipt.Sign(storetest.MustGet(seal.ReadPrivateKey(other))(t)))(t)
	if forged.IsSignedBy(public) {
		t.Error("another key's signature is taken")
	}
	for _, wrong := range []string{key + ".none", key + seal.PublicSuffix} {
		if _, err := seal.ReadPrivateKey(wrong); err == nil {
			t.Errorf("%s is read as a private key", wrong)
		}
	}
	if _, err := seal.ReadPublicKey(key); err == nil {
		t.Error("a private key is read as a public one")
	}
}

// While transactions append, wait, roll back and commit out of order, what is sealed stays final: several seal at once.
func TestWhatIsSealedIsFinal(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 12)
	ticker := p.NewTicker()
	ctx, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() {
		for ctx.Err() == nil {
			if _, err := ticker.Step(ctx, ticker.Lease); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			clock.Sleep(ctx, time.Millisecond)
		}
	})
	for range 2 {
		background.Go(func() {
			for ctx.Err() == nil {
				if _, err := seal.Seal(ctx, p.DB); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rolledBack := errors.New("rolled back")
	var writers []func(context.Context) error
	for range 6 {
		writers = append(writers, func(ctx context.Context) error {
			for range 30 {
				err := p.InTx(ctx, func(tx store.Tx) error {
					for range 1 + rand.IntN(3) {
						if err := eventlog.Append(ctx, tx, storetest.Sales(1+rand.IntN(3))); err != nil {
							return err
						}
						clock.Sleep(ctx, time.Duration(rand.IntN(4))*time.Millisecond)
					}
					if rand.IntN(4) == 0 {
						return rolledBack
					}
					return nil
				})
				if err != nil && !errors.Is(err, rolledBack) {
					return err
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, writers...)
	storetest.Eventually(t, "all is sealed", func() bool { return storetest.MustGet(seal.Read(t.Context(), p.DB))(t).Unsealed == 0 })
	stop()
	background.Wait()
	r := verify(t, p)
	if events := storetest.One[int64](t, p.SQL(), `SELECT count(*) FROM event_log`); r.Found != 0 || r.Events != events || r.Seals == 0 {
		t.Errorf("%d events, %d seals of %d events:\n%s", events, r.Seals, r.Events, show(r))
	}
}

// An event whose transaction is open when later ones commit is not sealed over.
func TestAnOpenTransactionHoldsTheSealBack(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	sealed(t, p, ticker, 1, 2)
	open := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), open, storetest.Sales(1)))
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, storetest.Sales(3), true))(t)
	ticker.Tick()
	before := storetest.MustGet(seal.Read(t.Context(), p.DB))(t)
	if head := storetest.MustGet(seal.Seal(t.Context(), p.DB))(t); head.LastSeq != before.LastSeq {
		t.Fatalf("sealed up to %d beside an open transaction, was %d", head.LastSeq, before.LastSeq)
	}
	storetest.Must(t, open.Commit())
	ticker.Tick()
	awaitSealed(t, p)
	if r := verify(t, p); r.Found != 0 || r.Events != 6 {
		t.Errorf("%d events are sealed:\n%s", r.Events, show(r))
	}
}

// A range has a bounded number of events, and the next one begins after it.
func TestLongRangesAreDivided(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	for range 9 {
		storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, storetest.Sales(1000), true))(t)
	}
	ticker.Tick()
	awaitSealed(t, p)
	if r := verify(t, p); r.Found != 0 || r.Events != 9000 || r.Seals != 3 {
		t.Errorf("%d events in %d seals:\n%s", r.Events, r.Seals, show(r))
	}
	p.Exec(`UPDATE event_log SET version = '2' `)
	if r := verify(t, p); r.Found != 9000 || len(r.Findings) != 1000 {
		t.Errorf("%d findings, %d listed; want all counted, 1000 listed", r.Found, len(r.Findings))
	}
}
