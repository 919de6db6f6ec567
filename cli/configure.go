package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// configuration is where a command's settings come from.
type configuration struct {
	flags map[string]string // those that were typed
	file  *configFile       // nil: there is none
}

// value is a setting's value and its origin, in words that lead there.
type value struct {
	text, origin string
	typed        bool // on the command line
}

// configurationKey is under what an App, which runs one command line, keeps its configuration.
const configurationKey = "configuration"

// configure reads the configuration of a command that is about to run, and
// gives its flags the values that were not typed: a command reads a setting by
// its flag, wherever it comes from.
func configure(cctx *cli.Context) error {
	c := &configuration{flags: map[string]string{}}
	var used []setting
	for _, f := range cctx.Command.Flags {
		f, ok := f.(settingFlag)
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
		v, err := c.value(s)
		if err != nil {
			return err
		}
		if v.text == "" || v.typed {
			continue
		}
		if err := cctx.Set(s.name, v.text); err != nil {
			return fmt.Errorf("setting --%s: %w", s.name, err)
		}
	}
	cctx.App.Metadata = map[string]any{configurationKey: c}
	return nil
}

// configured is the configuration of the command that runs.
func configured(cctx *cli.Context) *configuration {
	c, ok := cctx.App.Metadata[configurationKey].(*configuration)
	if !ok {
		return &configuration{}
	}
	return c
}

// readFile finds and reads the configuration file. One that is named must be there.
func (c *configuration) readFile() error {
	where, err := c.value(settingCalled(flagConfig))
	if err != nil {
		return err
	}
	path := where.text
	if path == "" {
		path = defaultConfigFile
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && where.text == "" {
		return nil
	}
	if err != nil {
		return misconfigured("reading the configuration file %s: %v; correct %s", path, reason(err), first(where.origin, "it"))
	}
	c.file, err = parseConfig(path, text)
	return err
}

// value finds a setting's value; its text is empty when nobody gives one and the command's default holds.
func (c *configuration) value(s setting) (value, error) {
	v, err := c.find(s)
	if err != nil || v.text == "" || s.check == nil {
		return v, err
	}
	if err := s.check(v.text); err != nil {
		if v.typed {
			return v, usage("--%s %q: %v", s.name, v.text, err)
		}
		return v, misconfigured("%s %q: %v", v.origin, v.text, err)
	}
	return v, nil
}

func (c *configuration) find(s setting) (value, error) {
	if v := c.flags[s.name]; v != "" {
		return value{text: v, origin: "--" + s.name, typed: true}, nil
	}
	if v := os.Getenv(s.variable()); v != "" {
		return value{text: v, origin: "$" + s.variable()}, nil
	}
	if path := os.Getenv(s.variable() + "_FILE"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return value{}, misconfigured("%s_FILE names %s: %v", s.variable(), path, reason(err))
		}
		if text := strings.TrimSpace(string(raw)); text != "" {
			return value{text: text, origin: "$" + s.variable() + "_FILE, " + path}, nil
		}
	}
	return c.file.value(s), nil
}

// reason is what the system says of a file, without the path, which is said beside it.
func reason(err error) error {
	var where *fs.PathError
	if errors.As(err, &where) {
		return where.Err
	}
	return err
}
