package seal

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Receipt says that an audit has proven the log up to a seal. Its file is kept where the database's roles cannot write.
type Receipt struct {
	Head
	SignedAt time.Time `json:"signedAt"`
	Verdict  string    `json:"verdict"`  // the audit's
	Database string    `json:"database"` // its name, and the server's identifier by pg_control_system()
	// Signature is by Ed25519 (RFC 8032), over the receipt's JSON with this field left empty.
	Signature []byte `json:"signature"`
}

var identity = pg.SQL(`SELECT current_database() || '@' || system_identifier FROM pg_control_system()`)

// Prepare seals the log and gives the receipt of an audit that has proven it, to be signed.
func Prepare(ctx context.Context, db *store.DB, verdict string, at time.Time) (r Receipt, err error) {
	r = Receipt{SignedAt: at, Verdict: verdict}
	if r.Head, err = Seal(ctx, db); err == nil {
		r.Database, err = pg.One[string](ctx, db, "asking which database this is", identity)
	}
	return r, err
}

func (r Receipt) signed() ([]byte, error) {
	r.Signature = nil
	return json.Marshal(r)
}

// Sign signs the receipt.
func (r Receipt) Sign(key ed25519.PrivateKey) (Receipt, error) {
	text, err := r.signed()
	if err != nil {
		return r, fmt.Errorf("signing a receipt: %w", err)
	}
	r.Signature = ed25519.Sign(key, text)
	return r, nil
}

// IsSignedBy tells whether the receipt is what the key's owner has signed.
func (r Receipt) IsSignedBy(key ed25519.PublicKey) bool {
	text, err := r.signed()
	return err == nil && ed25519.Verify(key, text, r.Signature)
}

const (
	receiptPrefix = "receipt-"
	receiptSuffix = ".json"
)

// Write writes the receipt as a file of a directory, which is made when it is missing, and returns the file's path.
func (r Receipt) Write(dir string) (path string, err error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing a receipt: %w", err)
	}
	path = filepath.Join(dir, fmt.Sprintf("%s%010d-%s%s", receiptPrefix, r.ID, r.SignedAt.UTC().Format("20060102T150405Z"), receiptSuffix))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the directory of receipts: %w", err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("writing a receipt: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("writing a receipt: %w", err)
	}
	return path, nil
}

// ReadReceipts reads the receipts of a directory, and gives those that the key's owner has signed and a finding for each
// other one.
func ReadReceipts(dir string, key ed25519.PublicKey) (signed []Receipt, others []Finding, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the receipts: %w", err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), receiptPrefix) || !strings.HasSuffix(f.Name(), receiptSuffix) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, nil, fmt.Errorf("reading the receipts: %w", err)
		}
		var r Receipt
		if err := json.Unmarshal(text, &r); err != nil || !r.IsSignedBy(key) {
			others = append(others, Finding{Kind: Unsigned, Seal: r.ID, What: f.Name() + " is not what the key's owner has signed: it was changed, or signed with another key"})
			continue
		}
		signed = append(signed, r)
	}
	return signed, others, nil
}

// The kinds of PEM blocks, as openssl names them too.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// PublicSuffix is what a public key's file has after the private one's name.
const PublicSuffix = ".pub"

// CreateKey makes a key pair: the private one as a file that only its owner may read, the public one beside it. It
// replaces no file.
func CreateKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if err := create(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: secret})); err != nil {
		return err
	}
	return create(path+PublicSuffix, 0o644, pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: open}))
}

func create(path string, mode os.FileMode, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// ReadPrivateKey reads the file of a private key: Ed25519, PKCS #8, PEM.
func ReadPrivateKey(path string) (ed25519.PrivateKey, error) {
	key, err := readKey(path, privateBlock, x509.ParsePKCS8PrivateKey)
	private, is := key.(ed25519.PrivateKey)
	if err == nil && !is {
		err = fmt.Errorf("%s has no Ed25519 key", path)
	}
	return private, err
}

// ReadPublicKey reads the file of a public key: Ed25519, PKIX, PEM.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	key, err := readKey(path, publicBlock, x509.ParsePKIXPublicKey)
	public, is := key.(ed25519.PublicKey)
	if err == nil && !is {
		err = fmt.Errorf("%s has no Ed25519 key", path)
	}
	return public, err
}

func readKey(path, kind string, parse func(der []byte) (any, error)) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s has no %s in PEM", path, strings.ToLower(kind))
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key of %s: %w", path, err)
	}
	return key, nil
}

// Fingerprint is short for a public key: the beginning of its hash, hexadecimal.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}
