package webcall

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/composerp/composerp/workers/worker"
)

// MaxWords is how many characters of the other side's text are kept.
const MaxWords = 200

// refusal is the outcome of an answer that refuses.
func refusal(by *url.URL, response *http.Response) error {
	err := fmt.Errorf("%s answered %s", by.Host, statusOf(response))
	if target, isURL := moved(response); isURL {
		err = fmt.Errorf("%w, a redirect to %s, which is not followed", err, target)
	}
	if words := wordsOf(response.Body); words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}
	wait, asked := retryAfter(response.Header, time.Now())
	switch {
	case away(response.StatusCode, asked):
		return worker.Unavailable(endpointOf(by), err, wait)
	case !passing(response.StatusCode):
		return worker.Reject(err)
	case asked:
		return worker.RetryAfter(err, wait)
	case response.StatusCode >= 500:
		return undecided{err}
	}
	return err
}

// statusOf is an answer's status, with the words of the standard: the other side's own may be anything.
func statusOf(answer *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode))
}

// undecided is a failure that does not say whether the server or the request is its cause.
type undecided struct{ error }

func (e undecided) Unwrap() error { return e.error }

// away tells whether an answer is about the server or the way to it and not about the request (RFC 9110, 15.5.8 and
// 15.6; RFC 6585, 4 and 6). A server error with a Retry-After is.
func away(status int, asked bool) bool {
	switch status {
	case http.StatusProxyAuthRequired, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, http.StatusNetworkAuthenticationRequired:
		return true
	}
	return status >= 500 && asked
}

// passing tells whether the same call may be answered otherwise later. Of the
// client errors RFC 9110 and RFC 8470 name three.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusMovedPermanently, http.StatusPermanentRedirect:
		return false
	}
	return status < 400 || status >= 500
}

// moved names the host that a redirect leads to.
func moved(response *http.Response) (host string, ok bool) {
	if response.StatusCode < 300 || response.StatusCode >= 400 {
		return "", false
	}
	target, err := response.Location()
	if err != nil {
		return "", false
	}
	return target.Host, true
}

// longestWait keeps a Retry-After of centuries from overflowing.
const longestWait = 30 * 24 * time.Hour

// retryAfter reads the header of RFC 9110, 10.2.3: seconds, or a date. A date is
// compared with the other side's own clock where the answer has a Date.
func retryAfter(header http.Header, now time.Time) (wait time.Duration, asked bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(0, until.Sub(now)), longestWait), true
}

// wordsOf are the beginning of a body on one line. What can not be read any more is left out.
func wordsOf(body io.Reader) string {
	raw, _ := io.ReadAll(io.LimitReader(body, 4*MaxWords+utf8Max))
	return OneLine(string(raw), MaxWords)
}

const utf8Max = 4

// OneLine makes a foreign text one line of at most the given number of characters,
// which a terminal and PostgreSQL can show.
func OneLine(text string, characters int) string {
	showable := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	line := []rune(strings.Join(strings.Fields(showable), " "))
	return strings.TrimSpace(string(line[:min(len(line), characters)]))
}
