package delays

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
)

// # How late deliveries are kept
//
// A byte says for how many stages times follow: up to the last that one of the batch was in, for most are in the first
// four alone. Then for each delivery come the 16 bytes of its event's id, and the microseconds in each of these stages
// as base-128 numbers (encoding/binary).

const idSize = len(uuid.UUID{})

func pack(late []Late) []byte {
	width := 0
	for i := range late {
		for s := width; s < delay.Stages; s++ {
			if late[i].Times.In(delay.Stage(s)) > 0 {
				width = s + 1
			}
		}
	}
	packed := append(make([]byte, 0, 1+len(late)*(idSize+4*width)), byte(width))
	for i := range late {
		packed = append(packed, late[i].EventID[:]...)
		for s := range width {
			packed = binary.AppendUvarint(packed, uint64(late[i].Times.In(delay.Stage(s)).Microseconds()))
		}
	}
	return packed
}

var errDamaged = errors.New("a row of delivery_delay is damaged: delete it")

// unpack gives each delivery with the stages that this version knows.
func unpack(packed []byte, do func(id uuid.UUID, stages []Spent)) error {
	if len(packed) == 0 {
		return errDamaged
	}
	width := int(packed[0])
	for packed = packed[1:]; len(packed) > 0; {
		if len(packed) < idSize {
			return errDamaged
		}
		id := uuid.UUID(packed[:idSize])
		packed = packed[idSize:]
		stages := make([]Spent, 0, width)
		for s := range width {
			micros, n := binary.Uvarint(packed)
			if n <= 0 {
				return errDamaged
			}
			packed = packed[n:]
			if s < delay.Stages {
				stages = append(stages, Spent{Stage: delay.Stage(s).String(), Seconds: float64(micros) / 1e6})
			}
		}
		do(id, stages)
	}
	return nil
}
