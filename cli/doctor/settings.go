package doctor

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// settingRow is one line of `doctor --show-config`.
type settingRow struct {
	Setting  string `json:"setting"` // its key in the configuration file
	Value    string `json:"value"`   // without secrets
	Origin   string `json:"origin"`
	Variable string `json:"variable"`
}

func showConfig(cctx *cli.Context) error {
	running, err := settings.Find(cctx.String(settings.FlagDir))
	if err != nil {
		return err
	}
	var rows []settingRow
	for _, s := range settings.All {
		v, err := settings.Configured(cctx).Value(s)
		if err != nil {
			return err
		}
		if v.Text == "" && s.Server && running != nil {
			told := map[string]string{settings.FlagDatabase: running.Database, settings.FlagAMQP: running.AMQP, settings.FlagManagement: running.Management}
			v = settings.Value{Text: told[s.Name], Origin: "up, in " + cctx.String(settings.FlagDir)}
		}
		if v.Text == "" {
			v = settings.Value{Text: s.Standard, Origin: "default"}
		}
		if s.Name == settings.FlagConfig && v.Text == "" && settings.Configured(cctx).File != nil {
			v = settings.Value{Text: settings.Configured(cctx).File.Path, Origin: "found here"}
		}
		if v.Text != "" && s.Show != nil {
			v.Text = s.Show(v.Text)
		}
		rows = append(rows, settingRow{s.Key(), v.Text, v.Origin, s.Variable()})
	}
	return terminal.ShowRows(cctx, rows, []any{"SETTING", "VALUE", "ORIGIN"}, func(r *settingRow) []any {
		return []any{r.Setting, cmp.Or(r.Value, "-"), r.Origin}
	})
}

// settings reports environment variables that no setting reads.
func (x *Examination) settings(cctx *cli.Context) {
	var known []string
	for _, s := range settings.All {
		known = append(known, s.Variable(), s.Variable()+"_FILE")
	}
	found := len(x.Findings)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "COMPOSERP_") && !slices.Contains(known, name) && !ofTests(name) {
			x.warn("settings", terminal.Suggest(name, known)+"`composerp doctor --show-config -o json` has the names of all variables", "nothing reads $%s", name)
		}
	}
	if len(x.Findings) == found {
		from := "flags, environment and defaults"
		if file := settings.Configured(cctx).File; file != nil {
			from += ", and " + file.Path
		}
		x.ok("settings", "from %s", from)
	}
}

// ofTests reports whether tests or `make` read a variable.
func ofTests(name string) bool {
	return strings.Contains(name, "_TEST") || slices.Contains([]string{"COMPOSERP_SHARED_DATA", "COMPOSERP_NO_SKIP", "COMPOSERP_REAL_ROWS"}, name)
}
