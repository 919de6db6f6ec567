package grants

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/lib/pq"
)

// Script is the SQL by which an administrator makes the roles of a database, or gives them new passwords. It may be run
// again. Passwords are by role and become verifiers, so that they stand in no log of the server; a role without one can
// log in as the server's pg_hba.conf lets it.
//
// All roles may see the sessions of the others: the scaler counts connections.
func Script(passwords map[Role]string) (string, error) {
	var b strings.Builder
	b.WriteString("SET client_min_messages = warning;\n")
	for _, r := range Roles {
		login := "LOGIN"
		if password := passwords[r]; password != "" {
			verifier, err := verifierOf(password)
			if err != nil {
				return "", err
			}
			login += " PASSWORD " + pq.QuoteLiteral(verifier)
		}
		fmt.Fprintf(&b, makeRole, r.User(), login)
	}
	fmt.Fprintf(&b, "GRANT pg_read_all_stats TO %s;\n", strings.Join(users(), ", "))
	return b.String(), nil
}

// makeRole leaves a role that another session makes at the same time to that one.
const makeRole = `DO $$ BEGIN
    CREATE ROLE %[1]s;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
ALTER ROLE %[1]s %[2]s;
`

const iterations = 4096 // PostgreSQL's own default

// verifierOf is what PostgreSQL keeps of a password, by SCRAM-SHA-256 (RFC 5803).
func verifierOf(password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}
