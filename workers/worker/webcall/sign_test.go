package webcall_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/composerp/composerp/workers/worker/webcall"
)

// A receiver that knows the new secret or the old one takes a call, and one that knows neither does not; nor is a body
// taken that is another one.
func TestCallsAreSignedByEverySecret(t *testing.T) {
	t.Parallel()
	newer, older, foreign := secretOf('n'), secretOf('o'), secretOf('f')
	signer, err := webcall.NewSigner([]string{newer, " " + older})
	if err != nil {
		t.Fatal(err)
	}
	takes := func(secret string, header http.Header, body []byte) bool {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return receiver.Verify(body, header) == nil
	}
	var header http.Header
	var body []byte
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	})
	if _, err := (webcall.Caller{Signer: signer}).Post(t.Context(), s.URL, "po-1:send", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if !takes(newer, header, body) || !takes(older, header, body) || takes(foreign, header, body) || takes(newer, header, []byte(`{"a":2}`)) {
		t.Errorf("the signature is %q", header.Get("Webhook-Signature"))
	}
	if id := header.Get("Webhook-Id"); id != "po-1:send" || id != header.Get("Idempotency-Key") {
		t.Errorf("the id is %q", id)
	}
	if _, err := (webcall.Caller{}).Post(t.Context(), s.URL, "po-1:send", []byte(`{}`)); err != nil || header.Get("Webhook-Signature") != "" {
		t.Errorf("without a signer: %v, %q", err, header.Get("Webhook-Signature"))
	}
}

// What is no secret is refused, and not shown.
func TestWrongSecrets(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"", "whsec_", secretOf('x')[len("whsec_"):], "whsec_!!!", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)),
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		s, err := webcall.NewSigner([]string{secretOf('a'), wrong})
		if s != nil || !errors.Is(err, webcall.ErrSecret) || !strings.HasPrefix(err.Error(), "secret 2 of 2: ") || wrong != "" && wrong != "whsec_" && strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if s, err := webcall.NewSigner(nil); s != nil || err != nil {
		t.Errorf("no secrets: %v, %v", s, err)
	}
}

// A signer that is renewed signs each call by the secrets of its time.
func TestARenewedWebhookSecret(t *testing.T) {
	t.Parallel()
	current, err := webcall.NewSigner([]string{secretOf('a')})
	if err != nil {
		t.Fatal(err)
	}
	signer := webcall.Renewed(func() *webcall.Signer { return current })
	found := ""
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { found = r.Header.Get("Webhook-Signature") })
	signature := func() string {
		if _, err := (webcall.Caller{Signer: signer}).Post(t.Context(), s.URL, "key", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if before := signature(); len(strings.Fields(before)) != 1 {
		t.Errorf("signatures %q", before)
	}
	if current, err = webcall.NewSigner([]string{secretOf('b'), secretOf('a')}); err != nil {
		t.Fatal(err)
	}
	if after := signature(); len(strings.Fields(after)) != 2 {
		t.Errorf("signatures %q", after)
	}
}

func secretOf(b byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), 24)))
}
