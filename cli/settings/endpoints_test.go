package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

// given runs a command line and gives its endpoints.
func given(t *testing.T, args ...string) (e Endpoints) {
	t.Helper()
	app := &cli.App{Commands: []*cli.Command{{Name: "probe", Flags: Flags(), Action: func(cctx *cli.Context) (err error) {
		if err = Configure(cctx); err == nil {
			e, err = Given(cctx)
		}
		return err
	}}}}
	if err := app.RunContext(t.Context(), append([]string{"composerp", "probe"}, args...)); err != nil {
		t.Fatal(err)
	}
	return e
}

// The file comes before a URL for all, and what is typed before both; without a URL for a part, the one for all holds.
func TestWhichURLAPartGets(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "COMPOSERP_") || strings.HasPrefix(name, "PG") {
			t.Setenv(name, "")
		}
	}
	t.Chdir(t.TempDir())
	file := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(file, []byte("AMQP_URL_RELAY=amqp://relay:x@file/v\nAMQP_URL_OPERATOR=amqp://operator:x@file/v\nDATABASE_URL_WORKER=postgres://worker:x@file/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COMPOSERP_SECRETS", file)
	t.Setenv("COMPOSERP_AMQP_URL", "amqp://all:x@env/v")
	ledger := roles.Worker("ledger")

	e := given(t)
	for _, c := range []struct{ what, got, want string }{
		{"a command", e.AMQP, "amqp://operator:x@file/v"},
		{"the relay", e.As(roles.Relay).AMQP, "amqp://relay:x@file/v"},
		{"a command's database", e.Database, ""},
		{"a worker's database", e.AsRole(grants.Worker).Database, "postgres://worker:x@file/d"},
		{"a worker without a line", e.As(ledger).AMQP, "amqp://all:x@env/v"},
		{"the relay, typed", given(t, "--amqp-url", "amqp://all:x@typed/v").As(roles.Relay).AMQP, "amqp://all:x@typed/v"},
		{"a worker's database, with a typed broker", given(t, "--amqp-url", "amqp://all:x@typed/v").AsRole(grants.Worker).Database, "postgres://worker:x@file/d"},
	} {
		if c.got != c.want {
			t.Errorf("%s gets %q, want %q", c.what, c.got, c.want)
		}
	}
}
