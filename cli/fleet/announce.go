package fleet

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
)

// announce prints the URLs that clients of the fleet need. Passwords are printed for private servers only: those of
// other servers do not belong in the log of a service.
func announce(console io.Writer, version string, state settings.State, private bool, stop string) {
	var text bytes.Buffer // one write, so that a reader of the first line can read all of them
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "composerp %s is up\n", version)
	address(w, "  management UI", state.Management, private, false)
	for _, at := range settings.SplitURLs(state.AMQP) {
		address(w, "  AMQP", at, private, true)
	}
	address(w, "  database", state.Database, private, false)
	terminal.Row(w, "  page", state.PageURL)
	terminal.Row(w, "  metrics", state.MetricsURL)
	if state.Dashboards != "" {
		terminal.Row(w, "  dashboards", state.Dashboards)
	}
	terminal.Row(w, "  workers", strings.Join(workers.Names(), " "))
	terminal.Row(w, "  stop", stop)
	w.Flush()
	_, _ = text.WriteTo(console)
}

// address prints a URL without its user, and beside it what a client logs in with. What is not a URL is not printed: it
// may hold a password anywhere.
func address(w io.Writer, label, text string, private, vhost bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return
	}
	var login []string
	if vhost {
		name := strings.TrimPrefix(u.Path, "/")
		if u.Path == "" {
			name = "/"
		}
		login = append(login, "vhost "+name)
	}
	if user := u.User.Username(); user != "" {
		login = append(login, "user "+user)
	}
	if password, given := u.User.Password(); given && private {
		login = append(login, "password "+password)
	}
	u.User = nil
	terminal.Row(w, label, settings.WithoutPassword(u.String()), strings.Join(login, ", "))
}
