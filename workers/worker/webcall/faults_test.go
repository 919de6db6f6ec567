package webcall

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/workers/worker"
)

// talk is one side of a conversation on a socket; the connection is closed when it returns.
type talk func(conn *net.TCPConn, request *bufio.Reader)

// listen serves each connection with the talk of its number, the last for all later ones; it refuses connections after
// the talks when the last is nil.
func listen(t *testing.T, talks ...talk) (address string) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if len(talks) == 0 {
		refuse(t, l)
	}
	go func() {
		for n := 0; ; n++ {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			speak := talks[min(n, len(talks)-1)]
			if len(talks) > n+1 && talks[n+1] == nil {
				refuse(t, l)
			}
			go func() {
				defer conn.Close()
				speak(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return l.Addr().String()
}

// refuse has a listener refuse connections and keep its port: a closed one's may be another test's server at once.
func refuse(t *testing.T, l *net.TCPListener) {
	socket, err := l.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	var refused error
	err = socket.Control(func(fd uintptr) { refused = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	if err := errors.Join(err, refused); err != nil {
		t.Error(err)
	}
}

func closes(*net.TCPConn, *bufio.Reader) {}

// resets has the kernel answer by a reset instead of an end.
func resets(conn *net.TCPConn, _ *bufio.Reader) { _ = conn.SetLinger(0) }

// hangs says nothing until the other side hangs up.
func hangs(conn *net.TCPConn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, conn) }

// reads reads a request whole, and goes on with what comes then.
func reads(then talk) talk {
	return func(conn *net.TCPConn, in *bufio.Reader) {
		if request, err := http.ReadRequest(in); err == nil {
			_, _ = io.Copy(io.Discard, request.Body)
			then(conn, in)
		}
	}
}

// says writes bytes, and goes on.
func says(bytes string, then talk) talk {
	return func(conn *net.TCPConn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, bytes)
		then(conn, in)
	}
}

const taking = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// faultCase is a way that a call can fail on a socket.
type faultCase struct {
	to, proxy string       // URLs; the proxy's is empty for none
	client    *http.Client // nil: made for the proxy
	body      int          // bytes; 0: two
	calls     int          // that go well before
	sent      bool         // whether bytes of the request may have left
	silent    bool         // nothing comes until the time is over
	text      string       // the error has it
}

// Every failure before a byte of the request was sent is the way's: the circuit opens, and no attempt is lost. After
// that the call is in doubt.
func TestFaultsOfACall(t *testing.T) {
	t.Parallel()
	trusted := newTLSServer(t, &tls.Config{})
	wanting := newTLSServer(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
	cut := newTLSServer(t, &tls.Config{})
	const https, connect = "https://supplier.invalid/secret", "HTTP/1.1 "
	for name, c := range map[string]faultCase{
		"refused":                           {to: "http://" + listen(t), text: "refused"},
		"refused, TLS":                      {to: "https://" + listen(t), text: "refused"},
		"an unknown name":                   {to: "http://supplier.invalid", text: "lookup supplier.invalid"},
		"a port that is none":               {to: "http://127.0.0.1:99999", text: "invalid port"},
		"TLS: closed":                       {to: "https://" + listen(t, closes)},
		"TLS: reset":                        {to: "https://" + listen(t, resets)},
		"TLS: silence":                      {to: "https://" + listen(t, hangs), silent: true},
		"TLS: a server without it":          {to: "https://" + listen(t, reads(says("HTTP/1.1 400 Bad Request\r\n\r\n", closes)), says("HTTP/1.1 400 Bad Request\r\n\r\n", hangs))},
		"TLS: an unknown authority":         {to: trusted.URL, text: "certificate"},
		"TLS: another name":                 {to: strings.Replace(cut.URL, "127.0.0.1", "localhost", 1), client: cut.Client(), text: "certificate"},
		"TLS: a certificate of ours wanted": {to: wanting.URL, client: wanting.Client(), text: "tls: "},
		"proxy: down, for http":             {to: "http://supplier.invalid", proxy: "http://" + listen(t), text: "proxyconnect"},
		"proxy: down, for https":            {to: https, proxy: "http://" + listen(t), text: "proxyconnect"},
		"proxy: unknown name":               {to: https, proxy: "http://proxy.invalid:3128", text: "lookup proxy.invalid"},
		"proxy: 407":                        {to: https, proxy: "http://" + listen(t, reads(says(connect+"407 Who?\r\nContent-Length: 0\r\n\r\n", hangs))), text: "answered 407 Proxy Authentication Required to CONNECT"},
		"proxy: 502":                        {to: https, proxy: "http://" + listen(t, reads(says(connect+"502 \r\n\r\n", closes))), text: "answered 502 Bad Gateway to CONNECT"},
		"proxy: 403":                        {to: https, proxy: "http://" + listen(t, reads(says(connect+"403 no\r\n\r\n", closes))), text: "answered 403 Forbidden to CONNECT"},
		"proxy: closed at CONNECT":          {to: https, proxy: "http://" + listen(t, reads(closes))},
		"proxy: silent at CONNECT":          {to: https, proxy: "http://" + listen(t, hangs), silent: true},
		"proxy: half an answer to CONNECT":  {to: https, proxy: "http://" + listen(t, reads(says("HTTP/1.1 20", closes)))},
		"proxy: no HTTP":                    {to: https, proxy: "http://" + listen(t, reads(says("220 mail.invalid ESMTP\r\n\r\n", closes)))},
		"proxy: closed after CONNECT":       {to: https, proxy: "http://" + listen(t, reads(says(connect+"200 OK\r\n\r\n", closes)))},
		"proxy: an unknown authority":       {to: https, proxy: trusted.URL, text: "certificate"},
		"proxy: SOCKS, down":                {to: https, proxy: "socks5://" + listen(t), text: "refused"},
		"proxy: SOCKS that refuses":         {to: "http://supplier.invalid", proxy: "socks5://" + listen(t, says("\x05\xff", hangs))},
		"proxy: an unknown scheme":          {to: https, proxy: "gopher://" + listen(t)},
		"closed after the request":          {to: "http://" + listen(t, reads(closes)), sent: true},
		"reset after the request":           {to: "http://" + listen(t, reads(resets)), sent: true},
		"silence":                           {to: "http://" + listen(t, hangs), sent: true, silent: true},
		"half a header":                     {to: "http://" + listen(t, reads(says("HTTP/1.1 200 OK\r\nContent-Le", closes))), sent: true},
		"half a body":                       {to: "http://" + listen(t, reads(says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", closes))), sent: true, text: "reading the answer"},
		"half a body, then silence":         {to: "http://" + listen(t, reads(says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", hangs))), sent: true, silent: true},
		"half a chunk, then a reset":        {to: "http://" + listen(t, reads(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", resets))), sent: true},
		"no HTTP":                           {to: "http://" + listen(t, reads(says("220 mail.invalid ESMTP\r\n\r\n", closes))), sent: true, text: "malformed HTTP"},
		"a header without an end":           {to: "http://" + listen(t, reads(says("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 2*maxHeader), hangs))), sent: true, text: "exceeded"},
		"a part of a large request":         {to: "http://" + listen(t, func(c *net.TCPConn, in *bufio.Reader) { _, _ = in.Peek(1); resets(c, in) }), body: 32 << 20, sent: true},
		"a large request, never read":       {to: "http://" + listen(t, func(c *net.TCPConn, _ *bufio.Reader) { <-t.Context().Done() }), body: 32 << 20, sent: true, silent: true},
		"TLS: closed after the request":     {to: cut.URL, client: cut.Client(), sent: true},
		"a proxy closed after the request":  {to: "http://supplier.invalid", proxy: "http://" + listen(t, reads(closes)), sent: true},
		// net/http makes the call again on a new connection, which is refused: the first may have arrived.
		"closed after a second request, then down": {to: "http://" + listen(t, reads(says(taking, reads(closes))), nil), calls: 1, sent: true, text: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}

// newTLSServer is a server that hangs up on requests, with a certificate that its own client alone trusts; that client
// counts like the shared one.
func newTLSServer(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	s.EnableHTTP2, s.TLS, s.Config.ErrorLog = true, config, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.Client().Transport.(*http.Transport).DialContext = dialCounting
	return s
}

func (c faultCase) check(t *testing.T) {
	timeout := 10 * time.Second
	if c.silent {
		timeout = time.Second
	}
	caller := Caller{Timeout: localtest.Deadline(timeout), Breakers: &worker.Breakers{}, through: c.client}
	if c.client == nil {
		caller.through = newClient(func(*http.Request) (*url.URL, error) {
			if c.proxy == "" {
				return nil, nil
			}
			return url.Parse(strings.Replace(c.proxy, "://", "://user:secret@", 1))
		})
	}
	to, body := strings.TrimSuffix(c.to, "/secret")+"/secret?token=secret", []byte(strings.Repeat(" ", max(0, c.body-2))+"{}")
	for range c.calls {
		if _, err := caller.Post(t.Context(), to, "before", body); err != nil {
			t.Fatal(err)
		}
	}
	_, err := caller.Post(t.Context(), to, "k", body)
	if !errors.Is(err, worker.ErrUnavailable) || errors.Is(err, worker.ErrRejected) {
		t.Errorf("want the circuit opened, got %v", err)
	}
	if errors.Is(err, worker.ErrInDoubt) != c.sent || errors.Is(err, ErrNotSent) == c.sent {
		t.Errorf("sent: want %t, got %v", c.sent, err)
	}
	says := "; the request was not sent"
	if c.sent {
		says = "may have been acted on"
	}
	if err == nil || !strings.HasSuffix(err.Error(), says) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret") || strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("want one line with %q and %q at its end, got %q", c.text, says, err)
	}
}

// A call in doubt costs an attempt when the other side takes other calls before and after it.
func TestACallThatIsAlwaysInDoubt(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "poison" {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	caller := Caller{Breakers: &worker.Breakers{}}
	for i, step := range []struct {
		key           string
		doubt, opened bool
	}{{"poison", true, true}, {"poison", true, true}, {"a", false, false}, {"poison", true, false}, {"poison", true, false}} {
		_, err := caller.Post(t.Context(), s.URL, step.key, nil)
		if errors.Is(err, worker.ErrInDoubt) != step.doubt || errors.Is(err, worker.ErrUnavailable) != step.opened {
			t.Errorf("step %d: want %+v, got %v", i, step, err)
		}
	}
}

// A proxy that asks who it is for says nothing of the message: by http it answers in the server's place.
func TestAProxyThatAnswersForTheServer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusProxyAuthRequired, http.StatusBadGateway, http.StatusNetworkAuthenticationRequired} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		proxy, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Caller{through: newClient(http.ProxyURL(proxy))}.Post(t.Context(), "http://supplier.invalid", "k", nil)
		if !errors.Is(err, worker.ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A call that is cancelled while it connects is cancelled, and blames nothing.
func TestACancelledDial(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int32
	address := listen(t, func(conn *net.TCPConn, in *bufio.Reader) { calls.Add(1); cancel(); hangs(conn, in) })
	_, err := Caller{Breakers: &worker.Breakers{}}.Post(ctx, "https://"+address, "k", nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, worker.ErrUnavailable) || errors.Is(err, worker.ErrInDoubt) || calls.Load() != 1 {
		t.Errorf("want it cancelled, got %v after %d connections", err, calls.Load())
	}
}
