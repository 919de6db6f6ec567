package event

import (
	"time"

	"github.com/google/uuid"
)

// need says whether an event must have a field.
type need bool

const (
	required need = true
	optional need = false
)

// fields walks over the fields of an object, to read or to write them: every payload names its fields once, in the
// order in which they are written, and is read and written by the same list. An optional field that is absent is
// its zero value, and a zero value is not written. After the first error a walk does nothing more.
type fields interface {
	uuid(name string, v *uuid.UUID)
	text(name string, v *string, n need)
	integer(name string, v *int64, n need)
	decimal(name string, v *Decimal, n need)
	// price is a decimal whose absence is not zero.
	price(name string, v **Decimal)
	decimals(name string, v *[]Decimal)
	timestamp(name string, v *time.Time)
	date(name string, v *Date, n need)
	object(name string, v fielder, n need)
	objects(name string, v fielderList)
}

// fielder has fields.
type fielder interface{ fields(f fields) }

// fielderList is a list of objects.
type fielderList interface {
	length() int
	// resize makes it n empty objects.
	resize(n int)
	item(i int) fielder
}

// codec reads and writes one type's payload.
type codec struct {
	// read makes a payload of the object that f walks over.
	read func(f fields) Payload
	// write walks f over a payload, and gives the payload as it will be read again: times in UTC, for one. It gives
	// false when p is not of its type.
	write func(f fields, name string, p Payload) (Payload, bool)
}

// codecOf makes the codec of the payload T, whose pointer has the fields.
func codecOf[T Payload, P interface {
	*T
	fielder
}]() codec {
	return codec{
		read: func(f fields) Payload {
			var p T
			P(&p).fields(f)
			return p
		},
		write: func(f fields, name string, p Payload) (Payload, bool) {
			v, ok := p.(T)
			if pointer, isPointer := any(p).(*T); isPointer && pointer != nil {
				v, ok = *pointer, true
			}
			if !ok {
				return nil, false
			}
			f.object(name, P(&v), required)
			return v, true
		},
	}
}

// head walks over the envelope's fields that stand before the payload.
func (e *Envelope) head(f fields) {
	f.uuid("eventId", &e.ID)
	f.text("eventType", (*string)(&e.Type), required)
	f.text("aggregateType", &e.AggregateType, required)
	f.text("aggregateId", &e.AggregateID, required)
	f.text("tenantId", &e.TenantID, required)
	f.timestamp("timestamp", &e.Timestamp)
	f.text("version", &e.Version, required)
}

func (m *Metadata) fields(f fields) {
	f.text("source", &m.Source, optional)
	f.text("userId", &m.UserID, optional)
	f.text("correlationId", &m.CorrelationID, optional)
	f.text("causationId", &m.CausationID, optional)
	f.text("traceparent", &m.Traceparent, optional)
	f.integer("sequence", &m.Sequence, optional)
}
