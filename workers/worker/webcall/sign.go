package webcall

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// # Signatures
//
// Calls are signed by Standard Webhooks 1.0 (https://www.standardwebhooks.com): webhook-id is the call's
// Idempotency-Key, webhook-timestamp the moment of this attempt, webhook-signature one HMAC-SHA256 for each secret of
// id, timestamp and body. With two secrets, the new one and the old one, receivers change over one by one.

// Signer signs calls; nil signs none.
type Signer struct {
	secrets []*standardwebhooks.Webhook
	current func() *Signer // nil: the secrets stay
}

// Renewed signs each call by the signer of its time.
func Renewed(current func() *Signer) *Signer { return &Signer{current: current} }

// The size of a secret in bytes, by the standard.
const minSecret, maxSecret = 24, 64

const secretPrefix = "whsec_"

// ErrSecret is the error of what is no secret. It does not have the text, which may be one that is mistyped.
var ErrSecret = errors.New("want secrets such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw: whsec_ and 24 to 64 bytes in base64")

// NewSigner signs by each of the secrets, whsec_ and base64; none: it is nil. ErrSecret when one is wrong.
func NewSigner(secrets []string) (*Signer, error) {
	var s Signer
	for i, secret := range secrets {
		text, hasPrefix := strings.CutPrefix(strings.TrimSpace(secret), secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !hasPrefix || err != nil || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), ErrSecret)
		}
		signing, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		s.secrets = append(s.secrets, signing)
	}
	if s.secrets == nil {
		return nil, nil
	}
	return &s, nil
}

// sign sets the headers of a call.
func (s *Signer) sign(header http.Header, id string, at time.Time, body []byte) error {
	if s != nil && s.current != nil {
		s = s.current()
	}
	if s == nil {
		return nil
	}
	signatures := make([]string, len(s.secrets))
	for i, secret := range s.secrets {
		var err error
		if signatures[i], err = secret.Sign(id, at, body); err != nil {
			return fmt.Errorf("signing the call: %w", err)
		}
	}
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
