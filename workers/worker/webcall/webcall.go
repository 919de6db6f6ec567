// Package webcall posts JSON to a server outside, for the workers that do, and
// turns the answer into a worker's outcome.
//
// # Outcomes
//
//	2xx, 409            done: an Answer. 409 means that the key is known from an
//	                    earlier call, as it should be
//	301, 308            worker.Reject: a person must correct the address
//	407, 429, 502, 503, worker.Unavailable: the server, or a proxy before it, is
//	504, 511, any 5xx   away or busy, for the time in its Retry-After
//	with a Retry-After
//	not sent            worker.Unavailable and ErrNotSent, whatever the reason: no
//	                    name, no connection, no proxy or one that refuses, no
//	                    valid certificate, no time left
//	sent, no answer,    worker.InDoubt: the other side may have acted on the call.
//	half an answer      It is worker.Unavailable, too, unless it is so for this
//	                    call alone
//	other 5xx           worker.Unavailable unless it is so for this call alone:
//	                    then an error, try again
//	408, 425, other 3xx an error: try again; by worker.RetryAfter when the answer
//	                    has a Retry-After
//	other 4xx           worker.Reject, with the other side's own words
//	no URL              worker.Reject
//
// "For this call alone": Breakers.IsOwnFault.
//
// The dependency is the endpoint's scheme, host and port: while it is away the
// circuit breakers of package worker let no call to it through.
//
// # Invariants
//
//   - Every call carries an Idempotency-Key; the same key is the same call. A call
//     whose answer was lost is made again: whether the other side has acted on the
//     first is for it to know, by the key. (net/http itself repeats a call with
//     such a header when an idle connection turns out to be closed.)
//   - With a Signer every call is signed, each attempt with its own time (sign.go).
//   - A redirect is never followed: it would carry an order, and perhaps a secret in
//     its address, to a server that no setting names.
//   - A call ends after Timeout, with its answer's body. No more of a body than
//     the limit is read, whatever its Content-Length is.
//   - Errors name the host and nothing else of an address: the path or the query
//     of a webhook is often its password.
//
// Proxies are those of the environment (HTTPS_PROXY and NO_PROXY, as every
// program of net/http has them).
package webcall

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/spans"
)

// Limits of a call: how long connecting may take and the whole of it, and how
// much of an answer is read.
const (
	connectTime = 5 * time.Second
	callTime    = 10 * time.Second
	maxAnswer   = 64 << 10
	maxHeader   = 64 << 10
)

// Caller makes calls. The zero value works.
type Caller struct {
	// Timeout bounds a call, from connecting to the end of the answer; 0 means 10 seconds.
	Timeout time.Duration
	// Breakers let no call through to a server that is away; nil: every call is made.
	Breakers *worker.Breakers
	// Signer signs each call; nil: they are not signed.
	Signer *Signer

	through *http.Client // nil: the shared client
}

// Answer is the answer of a server that has accepted the body.
type Answer struct {
	Status int
	// Body is empty when it was larger than 64 KiB: then TooLarge is set.
	Body     []byte
	TooLarge bool
}

// client is shared: it keeps connections open from one call to the next.
var client = newClient(http.ProxyFromEnvironment)

func newClient(proxy func(*http.Request) (*url.URL, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  proxy,
			OnProxyConnectResponse: refusedByProxy,
			DialContext:            dialCounting,
			TLSHandshakeTimeout:    connectTime,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refusedByProxy names the proxy that did not open the way; net/http alone would give the text of its status.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s answered %s to CONNECT", proxy.Host, statusOf(answer))
}

// IdempotencyKey names an action on a business object: the same key, the same call.
func IdempotencyKey(object, action string) string { return object + ":" + action }

// Post posts a JSON body with an Idempotency-Key. The error is the outcome.
func (c Caller) Post(ctx context.Context, to, key string, body []byte) (answer Answer, err error) {
	address, err := url.Parse(to)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return Answer{}, worker.Reject(errors.New("the address to call is no http or https URL"))
	}
	dependency := endpointOf(address)
	err = c.Breakers.Call(ctx, dependency, key, func() (err error) {
		answer, err = c.post(ctx, address, key, body)
		var unclear undecided
		if errors.As(err, &unclear) && !c.Breakers.IsOwnFault(dependency, key) {
			return worker.Unavailable(dependency, err, 0)
		}
		return err
	})
	return answer, err
}

func (c Caller) post(ctx context.Context, to *url.URL, key string, body []byte) (answer Answer, err error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = callTime
	}
	calling, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errNoAnswer, timeout))
	defer cancel()
	sent := &sending{}
	request, err := http.NewRequestWithContext(sent.watch(calling), http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, worker.Reject(fmt.Errorf("calling %s: %w", to.Host, bare(ctx, err)))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("User-Agent", "composerp")
	if err := c.Signer.sign(request.Header, key, time.Now(), body); err != nil {
		return Answer{}, worker.Reject(err)
	}
	span, status := spans.BeginCall(ctx, request), 0
	defer func() { span.End(request, status, err) }()
	response, err := cmp.Or(c.through, client).Do(request)
	if err != nil {
		return Answer{}, fault(ctx, to, sent, fmt.Errorf("calling %s: %w", to.Host, bare(calling, err)))
	}
	defer response.Body.Close()
	status = response.StatusCode
	if !taken(response.StatusCode) {
		return Answer{}, refusal(to, response)
	}
	answer, err = read(response)
	if err != nil {
		return Answer{}, fault(ctx, to, sent, fmt.Errorf("reading the answer of %s: %w", to.Host, bare(calling, err)))
	}
	return answer, nil
}

func taken(status int) bool { return status >= 200 && status < 300 || status == http.StatusConflict }

// read reads an answer's body up to the limit. One byte more tells whether that was all.
func read(response *http.Response) (Answer, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case len(body) > maxAnswer:
		return Answer{Status: response.StatusCode, TooLarge: true}, nil
	case err != nil:
		return Answer{}, err
	}
	return Answer{Status: response.StatusCode, Body: body}, nil
}

// Dependency names the dependency that an http or https URL belongs to; "" for anything else.
func Dependency(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return endpointOf(u)
}

// endpointOf names the dependency that an address belongs to. The port is named
// where it is not the scheme's own.
func endpointOf(address *url.URL) string {
	host := strings.ToLower(address.Host)
	if port := address.Port(); port == "" || address.Scheme+port == "http80" || address.Scheme+port == "https443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return address.Scheme + "://" + host
}

var errNoAnswer = errors.New("no answer")

// fault is the outcome of a call without an answer, unless ctx was ended here: then it is the call's own error.
func fault(ctx context.Context, to *url.URL, sent *sending, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return err
	case !sent.began():
		return worker.Unavailable(endpointOf(to), notSent{fmt.Errorf("%w; the request was not sent", err)}, 0)
	}
	return undecided{worker.InDoubt(fmt.Errorf("%w; the request was sent, whole or in part, and may have been acted on", err))}
}

type notSent struct{ error }

func (e notSent) Unwrap() error        { return e.error }
func (e notSent) Is(target error) bool { return target == ErrNotSent }

// bare takes the address out of the error of a call, and names the timeout that ended it.
func bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}
