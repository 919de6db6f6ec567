package rabbitmq_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// Messages whose headers the library refuses come like others, first and again, and say what was wrong; their
// neighbours come too.
func TestUnreadableHeadersDoNotEndTheSession(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	channel := raw(t, config)
	many, deep := amqp.Table{rabbitmq.HeaderAttempt: int64(2)}, amqp.Table{"end": "here"}
	for n := range 8200 {
		many[fmt.Sprintf("h%d", n)] = nil
	}
	for range 40 {
		deep = amqp.Table{"in": deep}
	}
	var want []string
	for n, headers := range []amqp.Table{nil, many, {"color": "red"}, deep, {"x-log-seq": int64(7)}} {
		id := fmt.Sprintf("m%d", n)
		must(t, channel.PublishWithContext(testContext(t), topology.Events, saleKey, true, false,
			amqp.Publishing{Headers: headers, MessageId: id, DeliveryMode: amqp.Persistent, Body: []byte(id)}))
		want = append(want, id)
	}
	for _, redelivered := range []bool{false, true} {
		session := open(t, config)
		taken := take(t, consumer(t, session, ledgerQueue, 100), 5)
		for n, d := range taken {
			if d.ID != want[n] || string(d.Body) != want[n] || d.Redelivered != redelivered {
				t.Errorf("message %d is %s, redelivered %t", n, d.ID, d.Redelivered)
			}
		}
		for n, wrong := range []string{"", "more than 8192 entries", "", "more than 32 levels deep", ""} {
			if got := taken[n].Unreadable(); (got == "") != (wrong == "") || !strings.Contains(got, wrong) {
				t.Errorf("message %d is unreadable because %q, want %q", n, got, wrong)
			}
		}
		if taken[4].LogSeq() != 7 || taken[2].Headers["color"] != "red" || taken[1].Attempt() != 2 {
			t.Errorf("headers are lost: %v, %v, %v", taken[4].Headers, taken[2].Headers, taken[1].Headers)
		}
		must(t, session.Close())
	}
}

// A body must not grow beyond what the broker takes, whatever the session may publish: publishing its copy would end
// every session that tries.
func TestABodyThatGrowsStaysAsItCame(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	config.MaxBody = math.MaxInt32
	channel := raw(t, config)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(make([]byte, 2<<20))
	must(t, err)
	must(t, w.Close())
	wide := "\xFE\xFF" + strings.Repeat("\x65\x87", 400<<10)
	most := bytes.Repeat([]byte("\x65\x87"), (1<<20)/3)
	for _, m := range []amqp.Publishing{
		{Body: packed.Bytes(), ContentEncoding: "gzip"},
		{Body: []byte(wide)},
		{Body: append([]byte("\xFE\xFF"), most...)},
	} {
		m.MessageId = "m"
		must(t, channel.PublishWithContext(testContext(t), topology.Events, saleKey, true, false, m))
	}
	taken := take(t, consumer(t, open(t, config), ledgerQueue, 100), 3)
	for n, came := range []string{packed.String(), wide} {
		if string(taken[n].Body) != came || !strings.Contains(taken[n].Unreadable(), "more than 1048576 bytes") {
			t.Errorf("message %d has %d bytes and is unreadable because %q", n, len(taken[n].Body), taken[n].Unreadable())
		}
	}
	if len(taken[2].Body) != len(most)/2*3 || taken[2].Unreadable() != "" {
		t.Errorf("a body that fits has %d bytes and is unreadable because %q", len(taken[2].Body), taken[2].Unreadable())
	}
}

// Over amqps:// the frames are read between the encryption and the library.
func TestAnEncryptedConnection(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	certificates := httptest.NewTLSServer(nil)
	t.Cleanup(certificates.Close)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates.TLS.Certificates})
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	target := ""
	secure := withURL(t, config, func(u *url.URL) {
		target = u.Host
		u.Scheme, u.Host = "amqps", listener.Addr().String()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			broker, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(broker, client); _ = broker.Close() }()
			go func() { _, _ = io.Copy(client, broker); _ = client.Close() }()
		}
	}()

	_, err = rabbitmq.Open(testContext(t), secure)
	checkLine(t, err, rabbitmq.ErrBadCertificate, "cacertfile")

	authority := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates.Certificate().Raw}), 0o600))
	secure = withURL(t, secure, func(u *url.URL) { u.RawQuery = url.Values{"cacertfile": {authority}}.Encode() })
	session := open(t, secure)
	p := publisher(t, session, 1)
	confirmation, err := p.Publish(testContext(t), sale(1))
	must(t, err)
	must(t, confirmation.Wait(testContext(t)))
	if d := take(t, consumer(t, session, ledgerQueue, 1), 1)[0]; d.ID != sale(1).ID {
		t.Errorf("%s comes, want %s", d.ID, sale(1).ID)
	}
}
