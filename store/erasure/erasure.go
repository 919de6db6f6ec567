package erasure

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/internal/pg"
)

// Erasure says that fields of an event were erased, and what stands in for its body.
type Erasure struct {
	ID      int64     `db:"id" json:"erasure"`
	Seq     int64     `db:"seq" json:"seq"` // the event's position
	EventID uuid.UUID `db:"event_id" json:"eventId"`
	Type    string    `db:"type" json:"eventType"`
	Tenant  string    `db:"tenant_id" json:"tenantId"`
	// Body is the hash that the event was logged with, StandIn that of the body that stands in for it.
	Body    archive.Digest `db:"body_sha256" json:"bodySha256"`
	StandIn archive.Digest `db:"stand_in_sha256" json:"standInSha256"`
	// Fields are all that were erased by now: "payload.customerId".
	Fields   pq.StringArray `db:"fields" json:"fields"`
	ErasedAt time.Time      `db:"erased_at" json:"erasedAt"`
	Operator string         `db:"operator" json:"operator"`
	Reason   string         `db:"reason" json:"reason"`
	// Signature is by Ed25519 (RFC 8032), over what Erasure says without ID and this field; empty where no key signed.
	Signature []byte `db:"signature" json:"signature,omitempty"`
	// Noted tells whether the operator log has an entry of it.
	Noted bool `db:"noted" json:"-"`
}

const prefix = "composerp erasure 1\n"

func (e Erasure) signed() ([]byte, error) {
	e.ID, e.Signature, e.ErasedAt = 0, nil, e.ErasedAt.UTC()
	text, err := json.Marshal(e)
	return append([]byte(prefix), text...), err
}

func (e *Erasure) sign(key ed25519.PrivateKey) error {
	e.Signature = []byte{}
	if key == nil {
		return nil
	}
	text, err := e.signed()
	if err != nil {
		return fmt.Errorf("signing the erasure of %s: %w", e.EventID, err)
	}
	e.Signature = ed25519.Sign(key, text)
	return nil
}

// IsSignedBy tells whether the key's owner has signed the erasure as it is.
func (e Erasure) IsSignedBy(key ed25519.PublicKey) bool {
	text, err := e.signed()
	return err == nil && ed25519.Verify(key, text, e.Signature)
}

// Action is what the operator log calls an erasure; its subject is the event's id.
const Action = "events erase"

var listErasures = pg.SQL(`
SELECT r.id, r.seq, r.event_id, r.type, r.tenant_id, r.body_sha256, r.stand_in_sha256, r.fields, r.erased_at, r.operator, r.reason, r.signature,
       EXISTS (SELECT FROM operator_log o WHERE o.action = $1 AND o.subject = r.event_id::text AND o.reason = r.reason) AS noted
FROM (SELECT DISTINCT ON (seq) id, seq, event_id, type, tenant_id, body_sha256, stand_in_sha256, fields, erased_at, operator, reason, signature
      FROM erasure WHERE ($2::bigint = 0 OR seq = $2) ORDER BY seq, id DESC) r ORDER BY r.seq`)

// List reads the newest erasure of each event, in the order of the log.
func List(ctx context.Context, db *store.DB) ([]Erasure, error) {
	return pg.List[Erasure](ctx, db, "reading the erasures", listErasures, Action, 0)
}

// Of is the newest erasure of the event at a position; nil where nothing of it was erased.
func Of(ctx context.Context, db *store.DB, seq int64) (*Erasure, error) {
	list, err := pg.List[Erasure](ctx, db, "reading the erasure of an event", listErasures, Action, seq)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}
