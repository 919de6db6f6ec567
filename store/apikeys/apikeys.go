package apikeys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// prefix begins every key, so that scanners for leaked secrets can find one.
const prefix = "composerp_"

const (
	idBytes     = 8
	secretBytes = 32
)

// Key is an API key without its secret.
type Key struct {
	ID        string         `db:"id" json:"id"`
	Tenant    string         `db:"tenant_id" json:"tenantId"`
	Source    string         `db:"source" json:"source"`
	Types     pq.StringArray `db:"types" json:"types"`      // of events that it may publish
	MayRead   bool           `db:"may_read" json:"mayRead"` // its tenant's events, stock and orders
	CreatedAt time.Time      `db:"created_at" json:"createdAt"`
	CreatedBy string         `db:"created_by" json:"createdBy"`
	ExpiresAt *time.Time     `db:"expires_at" json:"expiresAt"` // nil: never
	RevokedAt *time.Time     `db:"revoked_at" json:"revokedAt"`
	// State is "valid", "expired" or "revoked".
	State string `db:"state" json:"state"`
}

// Digest is the SHA-256 of a key's secret.
type Digest [sha256.Size]byte

// Split takes a key apart, into its ID and the digest of its secret. Of a text that is no key it returns an ID that no
// key has, and the digest all the same: it costs as much as a key.
func Split(text string) (id string, secret Digest) {
	rest, _ := strings.CutPrefix(text, prefix)
	id, tail, found := strings.Cut(rest, "_")
	if !found || !strings.HasPrefix(text, prefix) {
		id = ""
	}
	return id, sha256.Sum256([]byte(tail))
}

const keyColumns = `id, tenant_id, source, types, may_read, created_at, created_by, expires_at, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= clock_timestamp() THEN 'expired' ELSE 'valid' END AS state`

var createKey = pg.SQL(`
INSERT INTO api_key (id, tenant_id, source, types, may_read, secret_sha256, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => nullif($8::float8, 0)))
RETURNING ` + keyColumns)

// Create makes a key with the tenant, source, types and right to read of k, and returns it with its text, which cannot
// be had again. It holds for the time lasts from now on; 0 is until it is revoked.
func Create(ctx context.Context, db *store.DB, by operatorlog.By, k Key, lasts time.Duration) (made Key, text string, err error) {
	random := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(random) // never fails
	id, secret := hex.EncodeToString(random[:idBytes]), hex.EncodeToString(random[idBytes:])
	digest := sha256.Sum256([]byte(secret))
	err = db.InTx(ctx, func(tx store.Tx) error {
		made, err = pg.One[Key](ctx, tx, "making an API key", createKey, id, k.Tenant, k.Source, k.Types, k.MayRead, digest[:], by.Operator, lasts.Seconds())
		if err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, "keys create", id, nil, made)
	})
	if err != nil {
		return Key{}, "", err
	}
	return made, prefix + id + "_" + secret, nil
}

var listKeys = pg.SQL(`SELECT ` + keyColumns + ` FROM api_key WHERE $1 = '' OR tenant_id = $1 ORDER BY tenant_id, source, created_at, id`)

// List returns the keys of a tenant, those that do not hold any more too; an empty tenant selects all.
func List(ctx context.Context, db *store.DB, tenant string) ([]Key, error) {
	return pg.List[Key](ctx, db, "listing the API keys", listKeys, tenant)
}

var (
	lockKey   = pg.SQL(`SELECT ` + keyColumns + ` FROM api_key WHERE id = $1 FOR UPDATE`)
	expireKey = pg.SQL(`
UPDATE api_key SET expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $2::float8)) WHERE id = $1 RETURNING ` + keyColumns)
	revokeKey = pg.SQL(`UPDATE api_key SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $1 RETURNING ` + keyColumns)
)

// Expire has a key end after a time, or when it would have ended anyway if that is earlier; ErrNotFound when there is
// none with this ID.
func Expire(ctx context.Context, db *store.DB, by operatorlog.By, id string, after time.Duration) (Key, error) {
	return change(ctx, db, by, "keys expire", id, expireKey, id, after.Seconds())
}

// Revoke has a key end at once, for good; ErrNotFound when there is none with this ID.
func Revoke(ctx context.Context, db *store.DB, by operatorlog.By, id string) (Key, error) {
	return change(ctx, db, by, "keys revoke", id, revokeKey, id)
}

func change(ctx context.Context, db *store.DB, by operatorlog.By, action, id string, q pg.Statement, args ...any) (after Key, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		before, err := pg.One[Key](ctx, tx, fmt.Sprintf("reading the API key %s", id), lockKey, id)
		if err != nil {
			return err
		}
		if after = before; before.RevokedAt != nil {
			return nil
		}
		if after, err = pg.One[Key](ctx, tx, fmt.Sprintf("changing the API key %s", id), q, args...); err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, action, id, before, after)
	})
	return after, err
}

var validKeys = pg.SQL(`
SELECT id, tenant_id, source, types, may_read, secret_sha256 FROM api_key
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())`)

// Valid is what is needed to check a request: a key that holds, and the digest of its secret.
type Valid struct {
	Key
	Secret Digest
}

// AllValid returns the keys that hold now, by ID.
func AllValid(ctx context.Context, db *store.DB) (map[string]Valid, error) {
	type row struct {
		Key
		SHA256 []byte `db:"secret_sha256"`
	}
	rows, err := pg.List[row](ctx, db, "reading the API keys", validKeys)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]Valid, len(rows))
	for _, r := range rows {
		keys[r.ID] = Valid{r.Key, Digest(r.SHA256)}
	}
	return keys, nil
}
