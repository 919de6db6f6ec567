package cli

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// settingRow is one line of `doctor --show-config`.
type settingRow struct {
	Setting  string `json:"setting"` // its key in the configuration file
	Value    string `json:"value"`   // without secrets
	Origin   string `json:"origin"`
	Variable string `json:"variable"`
}

func showConfig(cctx *cli.Context) error {
	running, err := findFleet(cctx.String(flagDir))
	if err != nil {
		return err
	}
	var rows []settingRow
	for _, s := range settings {
		v, err := configured(cctx).value(s)
		if err != nil {
			return err
		}
		if v.text == "" && s.server && running != nil {
			told := map[string]string{flagDatabase: running.DatabaseURL, flagAMQP: running.AMQPURL, flagManagement: running.ManagementURL}
			v = value{text: told[s.name], origin: "up, in " + cctx.String(flagDir)}
		}
		if v.text == "" {
			v = value{text: s.standard, origin: "default"}
		}
		if s.name == flagConfig && v.text == "" && configured(cctx).file != nil {
			v = value{text: configured(cctx).file.path, origin: "found here"}
		}
		if v.text != "" && s.show != nil {
			v.text = s.show(v.text)
		}
		rows = append(rows, settingRow{s.key(), v.text, v.origin, s.variable()})
	}
	return show(cctx, rows, func(w io.Writer) {
		row(w, "SETTING", "VALUE", "ORIGIN")
		for _, r := range rows {
			row(w, r.Setting, first(r.Value, "-"), r.Origin)
		}
	})
}

// settings looks for what somebody has set and nobody reads.
func (x *examination) settings(cctx *cli.Context) {
	var known []string
	for _, s := range settings {
		known = append(known, s.variable(), s.variable()+"_FILE")
	}
	found := len(x.findings)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "COMPOSERP_") && !slices.Contains(known, name) && !ofTests(name) {
			x.warn("settings", suggest(name, known)+"`composerp doctor --show-config -o json` has the names of all variables", "nothing reads $%s", name)
		}
	}
	if len(x.findings) == found {
		from := "flags, environment and defaults"
		if file := configured(cctx).file; file != nil {
			from += ", and " + file.path
		}
		x.ok("settings", "from %s", from)
	}
}

// ofTests tells whether a variable is read by tests or by `make`.
func ofTests(name string) bool {
	return strings.Contains(name, "_TEST") || slices.Contains([]string{"COMPOSERP_SHARED_DATA", "COMPOSERP_NO_SKIP", "COMPOSERP_REAL_ROWS"}, name)
}
