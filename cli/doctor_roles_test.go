package cli_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/store/storetest"
)

// examineAs runs the doctor on a fleet that is well, as users that may see a part of it each: what they may not see is
// no fault, and is said with who may see it.
func (h *environment) examineAs(file string) {
	h.Helper()
	all, err := secrets.Read(file)
	storetest.Must(h, err)
	tagless, err := url.Parse(all["MANAGEMENT_URL_MONITORING"])
	storetest.Must(h, err)
	relay, err := url.Parse(all["AMQP_URL_RELAY"])
	storetest.Must(h, err)
	tagless.User = relay.User
	wrong := *tagless
	wrong.User = url.UserPassword("composerp-monitoring", "wrong")
	const access, database = "access,message size", "DATABASE_URL_READER"
	for _, c := range []struct {
		as     string
		keys   string // of the file
		unseen string // checks, beside those that RabbitMQ 3.10 shows an administrator alone
		args   []string
		faults string
	}{
		{"relay", "AMQP_URL_RELAY DATABASE_URL_RELAY", "management," + access, nil, ""},
		{"relay and monitoring", "AMQP_URL_RELAY DATABASE_URL_RELAY MANAGEMENT_URL_MONITORING", access, nil, ""},
		{"worker", "AMQP_URL_WORKER_LEDGER DATABASE_URL_WORKER", "management," + access, nil, ""},
		{"operator", "AMQP_URL_OPERATOR DATABASE_URL_OPERATOR MANAGEMENT_URL_MONITORING", access, nil, ""},
		{"topology", "AMQP_URL_TOPOLOGY DATABASE_URL_MIGRATOR MANAGEMENT_URL_MONITORING", "", nil, ""},
		{"monitoring", "MANAGEMENT_URL_MONITORING " + database, "broker", nil, ""},
		{"publisher", "AMQP_URL_PUBLISHER", "database,management," + access, nil, ""},
		{"a user without a tag", "AMQP_URL_TOPOLOGY " + database, "management", []string{"--management-url", tagless.String()}, ""},
		{"a wrong password", "AMQP_URL_TOPOLOGY " + database, "", []string{"--management-url", wrong.String()}, "management"},
		{"a role on the command line", database + " MANAGEMENT_URL_MONITORING", access, []string{"--amqp-url", all["AMQP_URL_WORKER_LEDGER"]}, ""},
	} {
		text := ""
		for _, key := range strings.Fields(c.keys) {
			text += key + "=" + all[key] + "\n"
		}
		part := filepath.Join(h.dir, "part.secrets")
		storetest.Must(h, os.WriteFile(part, []byte(text), 0o600))
		r := runIn(h.T, h.dir, append(cleanEnv(), "COMPOSERP_SECRETS="+part, "COMPOSERP_DIR=none"), append([]string{"doctor", "-o", "json"}, c.args...)...)
		var said struct {
			Findings []struct{ Check, State, What string }
		}
		if err := json.Unmarshal([]byte(r.out), &said); err != nil {
			h.Errorf("the doctor as %s: %v\n%s%s", c.as, err, r.out, r.errors)
			continue
		}
		var unseen, faults []string
		for _, f := range said.Findings {
			switch {
			case f.State == "unseen" && f.Check == "feature flags":
			case f.State == "unseen":
				unseen = append(unseen, f.Check)
				if !strings.Contains(f.What, "not seen: needs ") || !strings.Contains(f.What, "; run ") {
					h.Errorf("the doctor as %s says of %s: %s", c.as, f.Check, f.What)
				}
			case f.State != "ok":
				faults = append(faults, f.Check)
			}
		}
		slices.Sort(unseen)
		want := strings.Split(c.unseen, ",")
		if slices.Sort(want); strings.Join(unseen, ",") != strings.Join(want, ",") || strings.Join(faults, ",") != c.faults || (r.code == 0) != (c.faults == "") {
			h.Errorf("the doctor as %s does not see %q and finds %q, exit %d; want %q and %q\n%s", c.as, unseen, faults, r.code, want, c.faults, r.out)
		}
	}
}
