package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/cli/planner"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/purchasing"
)

const (
	// mostText is how many characters of an error are shown, mostBody how many bytes of an event.
	mostText = 300
	mostBody = 8 << 10
)

// functions are those of the templates.
var functions = template.FuncMap{
	"moment":  func(t time.Time) string { return terminal.Moment(t) },
	"age":     func(t time.Time) string { return age(time.Since(t)) },
	"span":    wording.Span,
	"number":  func(n int64) string { return wording.Thousands(n) },
	"count":   func(n int, noun string) string { return wording.Count(int64(n), noun) },
	"text":    func(text string) string { return wording.Shortened(wording.OneLine(text), mostText) },
	"command": command,
	"commands": func(words string, arguments []any, more ...any) string {
		return command(words, append(slices.Clone(arguments), more...)...)
	},
	"int":    func(n int64) int { return int(n) },
	"int64":  func(n int) int64 { return int64(n) },
	"word":   terminal.ShellWord,
	"order":  orderState,
	"total":  func(o purchasing.PurchaseOrder) string { return planner.Total(&o) },
	"wanted": pools.SlotsOrFlags,
	"slots":  terminal.NumberOr[int],
	"link": func(path, tenant, name string) string {
		return path + "?" + url.Values{"tenant": {tenant}, "q": {name}}.Encode()
	},
}

// command is a command line: words that stand as they are, and after them arguments, each one word of a shell.
func command(words string, arguments ...any) string {
	line := []string{"composerp", words}
	for _, a := range arguments {
		line = append(line, terminal.ShellWord(fmt.Sprint(a)))
	}
	return strings.Join(line, " ")
}

// age is how long ago something was.
func age(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return wording.Span(d.Truncate(time.Second)) + " ago"
}

// body is an event's body, an attribute a line, and whether it was cut.
func body(raw json.RawMessage) (text string, cut bool) {
	var indented bytes.Buffer
	if json.Indent(&indented, raw, "", "  ") != nil {
		indented.Reset()
		indented.Write(raw)
	}
	if indented.Len() > mostBody {
		return strings.ToValidUTF8(string(indented.Bytes()[:mostBody]), ""), true
	}
	return indented.String(), false
}

// first returns the first most of a list, and how many there are beyond.
func first[T any](list []T, most int) (shown []T, more int) {
	if len(list) <= most {
		return list, 0
	}
	return list[:most], len(list) - most
}
