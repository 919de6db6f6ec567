package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/exchange/plaintext"
)

// configuration is where a command's settings come from.
type configuration struct {
	flags map[string]string // those that were typed
	File  *configFile       // nil: there is none
}

// Value is a setting's value and its origin, in words for the user.
type Value struct {
	Text, Origin string
	typed        bool // on the command line
}

// configurationKey is under what an App, which runs one command line, keeps its configuration.
const configurationKey = "configuration"

// Configure reads the configuration of a command that is about to run, and
// gives its flags the values that were not typed: a command reads a setting by
// its flag, wherever it comes from.
func Configure(cctx *cli.Context) error {
	c := &configuration{flags: map[string]string{}}
	var used []setting
	for _, f := range cctx.Command.Flags {
		f, ok := f.(Flag)
		if !ok {
			continue
		}
		used = append(used, f.setting)
		if v := cctx.String(f.Name); v != "" && cctx.IsSet(f.Name) {
			c.flags[f.Name] = v
		}
	}
	if len(used) == 0 {
		return nil
	}
	if err := c.readFile(); err != nil {
		return err
	}
	for _, s := range used {
		v, err := c.Value(s)
		if err != nil {
			return err
		}
		if v.Text == "" || v.typed {
			continue
		}
		if err := cctx.Set(s.Name, v.Text); err != nil {
			return fmt.Errorf("setting --%s: %w", s.Name, err)
		}
	}
	cctx.App.Metadata = map[string]any{configurationKey: c}
	return nil
}

// Configured is the configuration of the command that runs.
func Configured(cctx *cli.Context) *configuration {
	c, ok := cctx.App.Metadata[configurationKey].(*configuration)
	if !ok {
		return &configuration{}
	}
	return c
}

// readFile finds and reads the configuration file. One that is named must be there.
func (c *configuration) readFile() error {
	where, err := c.Value(Named(FlagConfig))
	if err != nil {
		return err
	}
	path := cmp.Or(where.Text, DefaultConfigFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && where.Text == "" {
		return nil
	}
	if err != nil {
		return exit.Misconfigured("reading the configuration file %s: %v; correct %s", path, exit.Reason(err), cmp.Or(where.Origin, "it"))
	}
	c.File, err = parseConfig(path, text)
	return err
}

// value finds a setting's value; its text is empty when the command's default holds.
func (c *configuration) Value(s setting) (Value, error) {
	v, err := c.find(s)
	if err != nil || v.Text == "" || s.check == nil {
		return v, err
	}
	if err := s.check(v.Text); err != nil {
		shown := v.Text
		if s.Show != nil {
			shown = s.Show(v.Text)
		}
		if v.typed {
			return v, exit.Usage("--%s %q: %v", s.Name, shown, err)
		}
		return v, exit.Misconfigured("%s %q: %v", v.Origin, shown, err)
	}
	return v, nil
}

func (c *configuration) find(s setting) (Value, error) {
	if v := c.flags[s.Name]; v != "" {
		return Value{Text: v, Origin: "--" + s.Name, typed: true}, nil
	}
	if v := os.Getenv(s.Variable()); v != "" {
		return Value{Text: v, Origin: "$" + s.Variable()}, nil
	}
	if path := os.Getenv(s.Variable() + "_FILE"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return Value{}, exit.Misconfigured("%s_FILE names %s: %v", s.Variable(), path, exit.Reason(err))
		}
		if text := strings.TrimSpace(string(plaintext.Text(raw))); text != "" {
			return Value{Text: text, Origin: "$" + s.Variable() + "_FILE, " + path}, nil
		}
	}
	return c.File.value(s), nil
}
