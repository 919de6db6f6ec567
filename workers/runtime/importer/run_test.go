package importer

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/imports"
	"github.com/composerp/composerp/store/storetest"
)

// TestRunTwice imports a file twice: the second time changes nothing and says so.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	wantTally(t, l.run(t), tillEvents, 0)
	l.check(t)
	wantTally(t, l.run(t), 0, tillEvents)
	l.check(t)
}

// TestRunInterrupted stops an import after each of its batches and lets it go on.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	l.run(t)
	for batches := 1; batches <= tillRows/tillBatch; batches++ {
		storetest.Exec(t, l.url, `TRUNCATE event_log, admission, import_progress`)
		first := l.interrupted(t, batches)
		if first.Rows < int64(batches*tillBatch) {
			t.Fatalf("stopped after %d batches with %d rows", batches, first.Rows)
		}
		second := l.run(t)
		if second.ResumedAt != first.Rows {
			t.Errorf("stopped at row %d, went on at row %d", first.Rows, second.ResumedAt)
		}
		wantTally(t, second, tillEvents, 0)
		l.check(t)
	}
}

// TestGarbageBehindTheRejects goes on after a crash that left lines on disk whose batch was never committed: many
// lines, with few or no rejected rows still to come.
func TestGarbageBehindTheRejects(t *testing.T) {
	t.Parallel()
	for _, rejectsToCome := range []bool{true, false} {
		l := newTill(t)
		if !rejectsToCome {
			text, err := os.ReadFile(l.file)
			must(t, err)
			must(t, os.WriteFile(l.file, text[:strings.LastIndex(string(text), "119,X-POST")], 0o600))
		}
		l.interrupted(t, tillRows/tillBatch)
		f, err := os.OpenFile(l.file+rejectsSuffix, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString(strings.Repeat("113,not_stocked,of a batch that was never committed,\n", 100))
		must(t, err)
		must(t, f.Close())
		l.run(t)
		l.checkAll(t)
	}
}

// TestProgressLost forgets how far an import came, as a crash between the log and the progress would if they were
// not one transaction; and loses the rejects file. Both begin again, and nothing is there twice.
func TestProgressLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, l *till){
		"progress":      func(t *testing.T, l *till) { storetest.Exec(t, l.url, `DELETE FROM import_progress`) },
		"progress back": func(t *testing.T, l *till) { storetest.Exec(t, l.url, `UPDATE import_progress SET rows = 0`) },
		"rejects gone":  func(t *testing.T, l *till) { must(t, os.Remove(l.file+rejectsSuffix)) },
		"rejects cut":   func(t *testing.T, l *till) { must(t, os.Truncate(l.file+rejectsSuffix, 100)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTill(t)
			before := l.interrupted(t, 5)
			lose(t, l)
			after := l.run(t)
			if after.ResumedAt != 0 {
				t.Errorf("went on at row %d", after.ResumedAt)
			}
			wantTally(t, after, tillEvents-before.Admitted, before.Admitted)
			l.check(t)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestConflict changes the mapping so that the same rows say something else: they are refused, not counted again.
func TestConflict(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	l.run(t)
	log := l.log(t)
	l.m = mustParse(t, strings.Replace(l.mappingText, "product: [Pieces, Price]", "product: [Pieces, Price, Price]", 1))
	report := l.run(t)
	if report.Rejected[ReasonConflict] != tillEvents || report.Admitted != 0 || report.RejectedTotal() != tillRows {
		t.Errorf("got %+v", report.Tally)
	}
	if l.log(t) != log {
		t.Error("the log has changed")
	}
	text, err := os.ReadFile(l.file + rejectsSuffix)
	must(t, err)
	if rows := strings.Count(string(text), ",conflict,\"payload.amount: the log has "); rows != tillEvents {
		t.Errorf("%d lines of conflicts in the rejects file", rows)
	}
}

// TestTakenOver starts an import of a file while another one is at it.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	o := l.options()
	batches := 0
	o.Progress = func(p Progress) {
		if p.Phase == PhaseImport {
			if batches++; batches == 3 {
				if second := l.run(t); second.ResumedAt != 3*tillBatch {
					t.Errorf("the second went on at row %d", second.ResumedAt)
				}
			}
		}
	}
	if _, err := Run(t.Context(), o); !errors.Is(err, imports.ErrTakenOver) {
		t.Errorf("the first ended with %v", err)
	}
	l.check(t)
}

// TestNoRejects leaves no rejects file behind, and never takes one that is something else.
func TestNoRejects(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	l.file = writeFile(t, "good.csv", "No,Code,Pieces,Price,At,Text\n1,A,1,1,2026-01-05 10:00,x\n")
	report := l.run(t)
	if _, err := os.Stat(l.file + rejectsSuffix); !errors.Is(err, os.ErrNotExist) || report.RejectsFile != "" || report.Admitted != 1 {
		t.Errorf("%v, %+v", err, report)
	}
	must(t, os.WriteFile(l.file+rejectsSuffix, []byte("my notes\n"), 0o600))
	_, err := Run(t.Context(), l.options())
	if err == nil || !strings.Contains(err.Error(), "is there already and is not a rejects file") {
		t.Errorf("over another file: %v", err)
	}
	if text, err := os.ReadFile(l.file + rejectsSuffix); string(text) != "my notes\n" {
		t.Errorf("the other file now says %q, %v", text, err)
	}
}
