package seal

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/google/uuid"
)

// Hash is a SHA-256 hash, hexadecimal as text.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text); err != nil || n != len(h) || len(text) != 2*len(h) {
		return fmt.Errorf("%q is no SHA-256 hash", text)
	}
	return nil
}

// Scan implements sql.Scanner.
func (h *Hash) Scan(value any) error {
	raw, _ := value.([]byte)
	if len(raw) != len(h) {
		return fmt.Errorf("a hash of %d bytes", len(raw))
	}
	copy(h[:], raw)
	return nil
}

// entry is an event of the log without its body.
type entry struct {
	seq                              int64
	publish                          bool
	occurredAt                       time.Time
	loggedAt                         sql.NullTime
	id                               uuid.UUID
	tenant, kind, version, aggregate string
	body                             Hash
	now                              Hash // of the body as it is; known to Verify alone
}

// entryColumns are the columns of an entry, in the order of scan.
const entryColumns = `e.seq, e.publish, e.occurred_at, e.logged_at, e.event_id, e.tenant_id, e.type, e.version, e.aggregate_id, e.body_sha256`

func (e *entry) scan(row *sql.Rows, more ...any) error {
	return row.Scan(append([]any{&e.seq, &e.publish, &e.occurredAt, &e.loggedAt, &e.id, &e.tenant, &e.kind, &e.version, &e.aggregate, &e.body}, more...)...)
}

// What a hash is of, and in which version: no hash of one kind is one of another.
const (
	eventPrefix = "composerp event 1\n"
	sealPrefix  = "composerp seal 1\n"
)

// digest is the hash of what the log says of an event. Numbers are eight bytes, big endian; each text follows its
// length, so that no two events have the same bytes.
func (e *entry) digest() (sum Hash) {
	b := make([]byte, 0, 256)
	b = append(b, eventPrefix...)
	b = appendNumbers(b, e.seq, e.occurredAt.UnixMicro())
	if e.loggedAt.Valid {
		b = appendNumbers(b, e.loggedAt.Time.UnixMicro())
	} else {
		b = appendNumbers(b, 0)
	}
	published := byte(0)
	if e.publish {
		published = 1
	}
	b = append(append(b, published), e.id[:]...)
	for _, text := range []string{e.tenant, e.kind, e.version, e.aggregate} {
		b = append(appendNumbers(b, int64(len(text))), text...)
	}
	return sha256.Sum256(append(b, e.body[:]...))
}

func appendNumbers(b []byte, numbers ...int64) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// link makes a seal's hash from the one before, its range and its events' digests.
type link struct {
	sum     hash.Hash
	digests []byte // as log_seal keeps them
	events  int
	partial bool // events of the range were not read: the hash says nothing
}

func newLink(previous Hash, id, first int64) *link {
	l := &link{sum: sha256.New()}
	l.sum.Write([]byte(sealPrefix))
	l.sum.Write(previous[:])
	l.sum.Write(appendNumbers(nil, id, first))
	return l
}

const (
	seqBytes    = 8
	prefixBytes = 8
	digestBytes = seqBytes + prefixBytes
)

// add adds the digest of the event at a position.
func (l *link) add(seq int64, digest Hash) {
	l.sum.Write(digest[:])
	l.events++
	l.digests = append(appendNumbers(l.digests, seq), digest[:prefixBytes]...)
}

// end gives the hash of the range that ends at a position.
func (l *link) end(last int64) (sum Hash) {
	l.sum.Write(appendNumbers(nil, last, int64(l.events)))
	l.sum.Sum(sum[:0])
	return sum
}

// mark is the beginning of a digest.
type mark [prefixBytes]byte

var errDigests = errors.New("a seal's digests are damaged")

// unpack reads the digests that a seal keeps: by position, the beginning of each.
func unpack(digests []byte) (map[int64]mark, error) {
	if len(digests)%digestBytes != 0 {
		return nil, errDigests
	}
	marks := make(map[int64]mark, len(digests)/digestBytes)
	for ; len(digests) > 0; digests = digests[digestBytes:] {
		marks[int64(binary.BigEndian.Uint64(digests))] = mark(digests[seqBytes:digestBytes])
	}
	return marks, nil
}
