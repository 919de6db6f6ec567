package deadletters_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// disk is a file that may be full, and says when it was synced.
type disk struct {
	bytes.Buffer
	synced func()
	full   error
}

func (d *disk) Sync() error {
	if d.synced != nil {
		d.synced()
	}
	return d.full
}

func entries(t testing.TB, text []byte) []deadletters.Entry {
	t.Helper()
	var list []deadletters.Entry
	for line := range bytes.Lines(text) {
		var e deadletters.Entry
		storetest.Must(t, json.Unmarshal(line, &e))
		list = append(list, e)
	}
	return list
}

func TestWhatIsDiscardedIsExportedBefore(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	ids := p.zoo()
	file, synced := &disk{}, 0
	file.synced = func() {
		if n := p.count(`SELECT count(*) FROM dead_letter WHERE NOT lies`); n > synced {
			t.Errorf("%d letters have left, and %d are on disk", n, synced)
		}
		synced = bytes.Count(file.Bytes(), []byte("\n"))
	}
	report, err := p.cfg.Discard(t.Context(), deadletters.Discard{Queue: queue, Filter: failures.LetterFilter{Tenant: "acme"}, Export: file})
	storetest.Must(t, err)
	if report.Discarded != 3 || report.Seen != 6 || report.Queue != deadQueue {
		t.Errorf("the report is %+v", report)
	}
	list := entries(t, file.Bytes())
	if len(list) != 3 {
		t.Fatalf("the export has %d lines", len(list))
	}
	for i, e := range list {
		headers := map[string]any{}
		storetest.Must(t, json.Unmarshal(e.Headers, &headers))
		want := p.listed(failures.LetterFilter{IDs: ids[i : i+1], IncludeResolved: true})
		if e.MessageID != ids[i] || len(want) != 1 || e.EventID.String() != ids[i] || e.Tenant != "acme" || e.Worker != ledger || e.Queue != deadQueue ||
			headers[rabbitmq.HeaderAttempt] != float64(2) || e.Body == nil || !bytes.Contains([]byte(*e.Body), []byte(ids[i])) || e.Fingerprint != failures.Fingerprint(e.Error) {
			t.Errorf("line %d is %+v", i+1, e)
		}
	}
	p.Eventually("the rest is back", func() bool { return p.Depth(deadQueue) == 3 })
	if got := p.ids(deadQueue); !slices.Equal(got, ids[3:]) {
		t.Errorf("left are %v, want %v", got, ids[3:])
	}
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE discarded_at IS NOT NULL AND tenant_id = 'acme'`); n != 3 {
		t.Errorf("%d letters are marked", n)
	}
	if n := p.Depth(ledgerQueue); n != 0 {
		t.Errorf("the worker got %d of them", n)
	}
}

func TestWithoutAnExportNothingIsDiscarded(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.zoo()
	full := errors.New("no space left on device")
	report, err := p.cfg.Discard(t.Context(), deadletters.Discard{Queue: queue, Export: &disk{full: full}})
	if !errors.Is(err, full) || report.Discarded != 0 {
		t.Errorf("it says %v, %+v", err, report)
	}
	p.Eventually("all is back", func() bool { return p.Depth(deadQueue) == 6 })
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE lies`); n != 6 {
		t.Errorf("%d letters are counted as pending", n)
	}
}

func TestABodyThatIsNoTextIsExportedByteForByte(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.zoo()
	file := &disk{}
	_, err := p.cfg.Discard(t.Context(), deadletters.Discard{Queue: queue, Filter: failures.LetterFilter{IDs: []string{"no event"}}, Export: file})
	storetest.Must(t, err)
	list := entries(t, file.Bytes())
	if len(list) != 1 || string(list[0].BodyBase64) != "\x00\xff" || list[0].Body != nil || list[0].Worker != ledger || list[0].EventID != nil {
		t.Errorf("the export has %+v", list)
	}
}
