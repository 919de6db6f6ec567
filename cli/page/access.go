package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	cookieName = "composerp_page"
	cookieLife = 12 * time.Hour
	// mostForm is how many bytes the form of the token may have.
	mostForm = 4 << 10
)

// access decides who may open the page.
type access struct {
	token  func() string // "": none
	hosts  []string      // in small letters
	closed bool          // served beyond loopback without a token
}

func newAccess(cfg Config) access {
	token := cfg.Token
	if token == nil {
		token = func() string { return "" }
	}
	a := access{token: token, hosts: []string{"localhost"}}
	if name, err := os.Hostname(); err == nil {
		a.hosts = append(a.hosts, strings.ToLower(name))
	}
	for _, name := range cfg.Hosts {
		a.hosts = append(a.hosts, strings.ToLower(strings.TrimSpace(name)))
	}
	at, ok := cfg.Address.(*net.TCPAddr)
	a.closed = a.token() == "" && !(ok && at.IP.IsLoopback())
	return a
}

// knows reports whether a Host header names this process. A browser that was led here by a name of another site sends
// that name; an IP address it has from its user.
func (a access) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return net.ParseIP(host) != nil || slices.Contains(a.hosts, strings.ToLower(host))
}

// granted reports whether a request has the token, as Bearer or by the cookie that the form has set.
func (a access) granted(r *http.Request) bool {
	if a.token() == "" {
		return true
	}
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return equal(bearer, a.token())
	}
	cookie, err := r.Cookie(cookieName)
	return err == nil && equal(cookie.Value, a.pass())
}

// pass is the cookie's value. Browsers send cookies to every port of a host, so that it is not the token itself.
func (a access) pass() string {
	mac := hmac.New(sha256.New, []byte(a.token()))
	mac.Write([]byte(cookieName))
	return hex.EncodeToString(mac.Sum(nil))
}

// equal compares in a time that tells nothing of the secret, its length included.
func equal(given, secret string) bool {
	g, s := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(g[:], s[:]) == 1
}

// signIn takes the token of the form, sets the cookie and leads back to the part that was asked for.
func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if p.access.token() == "" || !equal(r.PostFormValue("token"), p.access.token()) {
		p.cfg.Log.Warn("the page was asked for with a wrong token", "from", r.RemoteAddr)
		p.render(w, http.StatusUnauthorized, "token.html", view{Title: "Token", Version: p.cfg.Version, Problem: "This is not the token."})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: p.access.pass(), Path: "/", MaxAge: int(cookieLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	back := r.URL.Path // one of the parts'
	if r.URL.RawQuery != "" {
		back += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
