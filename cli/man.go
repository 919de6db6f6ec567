package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

func manCommand() *cli.Command {
	return &cli.Command{
		Name:  "man",
		Usage: "print the manual page",
		Description: "   composerp man | man -l -\n" +
			"   composerp man > /usr/local/share/man/man1/composerp.1",
		Action: func(cctx *cli.Context) error { return manual(cctx.App, cctx.App.Writer) },
	}
}

// manual writes the whole app as a page of section 1, in the macros of man(7).
// urfave's own page leaves out what stands in descriptions and in the environment,
// and says every setting again at every command.
func manual(app *cli.App, out io.Writer) error {
	var m page
	m.macro("TH", "COMPOSERP", "1", "", "composerp "+app.Version, "Composerp")
	m.macro("SH", "NAME")
	m.text("composerp - " + app.Usage)
	m.macro("SH", "SYNOPSIS")
	m.macro("B", "composerp")
	m.macro("I", "COMMAND [FLAG...] [ARGUMENT...]")
	m.macro("SH", "DESCRIPTION")
	m.prose(app.Description)
	m.macro("SH", "COMMANDS")
	m.commands(app.Name, app.Commands)
	m.settings()
	m.macro("SH", "EXIT STATUS")
	for _, e := range exit.Codes {
		m.tagged(fmt.Sprint(e.Code), e.Meaning)
	}
	m.macro("SH", "FILES")
	m.tagged(settings.DefaultConfigFile, "the configuration file of a directory: one YAML mapping of the keys above")
	m.tagged(".composerp/", "data, logs and addresses of the servers that up keeps")
	_, err := io.WriteString(out, m.String())
	return err
}

// page is a manual page as it is written.
type page struct{ strings.Builder }

func (m *page) macro(name string, arguments ...string) {
	m.WriteString("." + name)
	for _, a := range arguments {
		m.WriteString(` "` + strings.ReplaceAll(escaped(a), `"`, `\(dq`) + `"`)
	}
	m.WriteString("\n")
}

// escaped is a text that roff shows as it is.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

func (m *page) text(text string) {
	line := escaped(text)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	m.WriteString(line + "\n")
}

// prose keeps lines that are indented as they stand, and lets roff fill the rest.
func (m *page) prose(text string) {
	kept := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if indented := strings.HasPrefix(line, " "); indented != kept {
			kept = indented
			m.macro(map[bool]string{true: "nf", false: "fi"}[kept])
		}
		if strings.TrimSpace(line) == "" {
			m.macro("PP")
			continue
		}
		m.text(line)
	}
	if kept {
		m.macro("fi")
	}
}

func (m *page) tagged(tag, text string) {
	m.macro("TP")
	m.macro("B", tag)
	m.text(text)
}

// commands writes every command that does something, with its own flags; settings come later, once.
func (m *page) commands(before string, commands []*cli.Command) {
	for _, c := range commands {
		if c.Hidden || c.Name == "help" {
			continue
		}
		name := before + " " + c.Name
		m.macro("SS", strings.TrimSpace(name+" "+c.ArgsUsage))
		m.text(upper(c.Usage) + ".")
		if c.Description != "" {
			m.macro("PP")
			m.prose(c.Description)
		}
		var used []string
		for _, f := range c.VisibleFlags() {
			doc, ok := f.(cli.DocGenerationFlag)
			switch _, isSetting := f.(settings.Flag); {
			case isSetting:
				used = append(used, terminal.Dashed(f.Names()[0]))
			case ok && f.Names()[0] != "help":
				m.tagged(flagHead(f, doc.TakesValue()), flagText(doc))
			}
		}
		if len(used) > 0 {
			m.macro("PP")
			m.text("Settings: " + strings.Join(used, ", ") + ".")
		}
		m.commands(name, c.Subcommands)
	}
}

func flagHead(f cli.Flag, takesValue bool) string {
	heads := make([]string, len(f.Names()))
	for i, n := range f.Names() {
		heads[i] = terminal.Dashed(n)
	}
	head := strings.Join(heads, ", ")
	if takesValue {
		head += " " + terminal.ValueName(f)
	}
	return head
}

func flagText(f cli.DocGenerationFlag) string {
	if d := f.GetDefaultText(); d != "" && f.TakesValue() && !strings.Contains(f.GetUsage(), "default") {
		return f.GetUsage() + " (default " + d + ")"
	}
	return f.GetUsage()
}

func (m *page) settings() {
	m.macro("SH", "SETTINGS")
	m.text("Each is a flag, a variable of the environment (with _FILE behind its name: a file that holds the value) and a key of the configuration file.")
	for _, s := range settings.All {
		m.tagged(terminal.Dashed(s.Name)+" "+terminal.ValueName(settings.FlagOf(s.Name).StringFlag)+", "+s.Variable(), upper(s.Usage)+".")
		if s.Standard != "" {
			m.text("The default is " + s.Standard + ".")
		}
		if !s.NotInFile {
			m.text("In the file: " + s.Key() + ".")
		}
	}
}

func upper(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}
