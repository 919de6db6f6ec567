package event

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // UUIDv5 is SHA-1 by RFC 9562; nothing is secured by it.
	"encoding/binary"

	"github.com/google/uuid"
)

// The namespaces of derived ids. They must never change: with another namespace every derived event would get a new id,
// and consumers would handle events a second time.
var (
	effectNamespace = uuid.MustParse("5f0a3d0e-8a57-5c7e-9b53-0c6a2d1f4e01")
	timerNamespace  = uuid.MustParse("5f0a3d0e-8a57-5c7e-9b53-0c6a2d1f4e02")
)

// DeriveID returns the id of the ordinal-th event that a worker emits because of the event cause: a UUIDv5 of the
// three. The same three always result in the same id.
func DeriveID(worker string, cause uuid.UUID, ordinal int) uuid.UUID {
	name := make([]byte, 0, 96)
	name = append(name, cause[:]...)
	name = binary.BigEndian.AppendUint64(name, uint64(int64(ordinal)))
	name = append(name, worker...)
	return uuidV5(effectNamespace, name)
}

// TimerID returns the id of an event that a worker emits without a cause, once per key (an item and location, for
// example) and business date: a UUIDv5 of the three.
func TimerID(worker, key, businessDate string) uuid.UUID {
	name := make([]byte, 0, 96)
	for _, part := range []string{worker, key, businessDate} {
		// The length before each part makes ("ab", "c") differ from ("a", "bc").
		name = binary.BigEndian.AppendUint32(name, uint32(len(part)))
		name = append(name, part...)
	}
	return uuidV5(timerNamespace, name)
}

// uuidV5 is uuid.NewSHA1 without the allocation of a hash.
func uuidV5(namespace uuid.UUID, name []byte) uuid.UUID {
	sum := sha1.Sum(append(namespace[:len(namespace):len(namespace)], name...))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Derive makes the ordinal-th event that a worker emits because of the event cause. The event inherits the cause's
// tenant, timestamp, user, trace, time of publishing, replay and whether it is history. Its correlationId is
// the cause's, or
// the cause's eventId when the cause has none; its causationId is the cause's eventId; its source is the worker. The
// sequence is the aggregate's version number, 0 when it has none.
func Derive(worker string, cause Envelope, ordinal int, aggregateID string, sequence int64, p Payload) (Any, error) {
	return DeriveIn("", worker, cause, ordinal, aggregateID, sequence, p)
}

// DeriveIn is Derive in a version: the current one or Definition.Older; "" is the current one.
func DeriveIn(version, worker string, cause Envelope, ordinal int, aggregateID string, sequence int64, p Payload) (Any, error) {
	causeID := cause.ID.String()
	return Encode(Envelope{
		Version:     version,
		ID:          DeriveID(worker, cause.ID, ordinal),
		AggregateID: aggregateID,
		TenantID:    cause.TenantID,
		Timestamp:   cause.Timestamp,
		Metadata: Metadata{
			Source:        worker,
			UserID:        cause.Metadata.UserID,
			CorrelationID: cmp.Or(cause.Metadata.CorrelationID, causeID),
			CausationID:   causeID,
			Traceparent:   cause.Metadata.Traceparent,
			Sequence:      sequence,
			History:       cause.Metadata.History,
			Replay:        cause.Metadata.Replay,
			PublishedAt:   cause.Metadata.PublishedAt,
		},
	}, p)
}
