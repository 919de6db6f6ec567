package delays

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
)

// What is packed comes back, of a batch of deliveries in different stages, and of one with more stages than are known.
func TestPackedTimesComeBack(t *testing.T) {
	t.Parallel()
	began := time.UnixMicro(1_795_800_000_000_000)
	batch := make([]Late, 30)
	for i := range batch {
		batch[i] = Late{EventID: uuid.New(), Times: delay.Since(began)}
		for s := range 1 + i%delay.Stages {
			batch[i].Times.Wait(delay.Stage(s), time.Duration(i*s*s)*777*time.Millisecond)
		}
	}
	for _, late := range [][]Late{batch, batch[:1], batch[4:5]} {
		n := 0
		err := unpack(pack(late), func(id uuid.UUID, stages []Spent) {
			of := late[n]
			for _, s := range stages {
				found := false
				for stage := range delay.Stages {
					found = found || delay.Stage(stage).String() == s.Stage && of.Times.In(delay.Stage(stage)).Seconds() == s.Seconds
				}
				if !found {
					t.Errorf("%s comes back as %v", of.Times, s)
				}
			}
			if id != of.EventID {
				t.Errorf("delivery %d is of %s, want %s", n, id, of.EventID)
			}
			n++
		})
		if err != nil || n != len(late) {
			t.Errorf("%d of %d come back, %v", n, len(late), err)
		}
	}
	later := append([]byte{byte(delay.Stages + 1)}, make([]byte, idSize+delay.Stages+1)...)
	if err := unpack(later, func(_ uuid.UUID, stages []Spent) {
		if len(stages) != delay.Stages {
			t.Errorf("%d stages of a later version", len(stages))
		}
	}); err != nil {
		t.Error(err)
	}
	whole := pack(batch)
	for n := range whole {
		if err := unpack(whole[:n], func(uuid.UUID, []Spent) {}); err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
	}
	if unpack(nil, nil) == nil || unpack(whole[:len(whole)-1], func(uuid.UUID, []Spent) {}) == nil {
		t.Error("what is cut is read")
	}
}

// No row makes the reader panic, and what it reads are stages that are known.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{0})
	f.Add(pack([]Late{{EventID: uuid.New(), Times: delay.Since(time.UnixMicro(1))}}))
	f.Add(append([]byte{1}, make([]byte, idSize+1)...))
	f.Fuzz(func(t *testing.T, packed []byte) {
		err := unpack(packed, func(_ uuid.UUID, stages []Spent) {
			if len(stages) > delay.Stages {
				t.Errorf("%d stages", len(stages))
			}
		})
		if err != nil && !errors.Is(err, errDamaged) {
			t.Error(err)
		}
	})
}
