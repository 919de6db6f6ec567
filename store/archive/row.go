package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Row is an event as the log has it, and as a line of an archive.
type Row struct {
	Seq int64 `db:"seq" json:"seq"`
	// Epoch and Tx are its place among the ticks.
	Epoch      int        `db:"epoch" json:"epoch"`
	Tx         string     `db:"tx" json:"tx"`
	Publish    bool       `db:"publish" json:"publish"`
	OccurredAt time.Time  `db:"occurred_at" json:"timestamp"`
	LoggedAt   *time.Time `db:"logged_at" json:"loggedAt,omitempty"`
	EventID    uuid.UUID  `db:"event_id" json:"eventId"`
	Tenant     string     `db:"tenant_id" json:"tenantId"`
	Type       string     `db:"type" json:"eventType"`
	Version    string     `db:"version" json:"version"`
	Aggregate  string     `db:"aggregate_id" json:"aggregateId"`
	BodySHA256 Digest     `db:"body_sha256" json:"bodySha256"`
	Body       string     `db:"body" json:"body"` // the envelope, byte for byte
}

// Digest is a SHA-256 hash, hexadecimal as text.
type Digest [sha256.Size]byte

// String is the digest in hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(d[:], text); err != nil || n != len(d) || len(text) != 2*len(d) {
		return fmt.Errorf("%q is no SHA-256 hash", text)
	}
	return nil
}

// Scan implements sql.Scanner.
func (d *Digest) Scan(value any) error {
	raw, _ := value.([]byte)
	if len(raw) != len(d) {
		return fmt.Errorf("a hash of %d bytes", len(raw))
	}
	copy(d[:], raw)
	return nil
}

func (r *Row) line(to []byte) ([]byte, error) {
	utc := *r
	utc.OccurredAt = utc.OccurredAt.UTC()
	if utc.LoggedAt != nil {
		at := utc.LoggedAt.UTC()
		utc.LoggedAt = &at
	}
	text, err := json.Marshal(&utc)
	if err != nil {
		return to, fmt.Errorf("writing the event at position %d: %w", r.Seq, err)
	}
	return append(append(to, text...), '\n'), nil
}
