package catalogue

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"

	"github.com/composerp/composerp/cli/page"
	"github.com/composerp/composerp/exchange/contract"
)

//go:embed templates
var files embed.FS

var functions = template.FuncMap{
	"next": func(i int) int { return i + 1 },
	"indent": func(event json.RawMessage) (string, error) {
		var b bytes.Buffer
		err := json.Indent(&b, event, "", "  ")
		return b.String(), err
	},
}

// pages are the templates, each in the layout.
var pages = func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"index.html", "event.html"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name))
	}
	return all
}()

// view is what a template gets.
type view struct {
	Title       string
	Entries     []Entry
	Entry       *Entry
	Envelope    []Field
	Definitions []Definition
}

// Former are the versions before the current one.
func (e Entry) Former() []string { return e.Versions[:len(e.Versions)-1] }

// HTML returns the files of the catalogue by their names: a page of all events, a page for each, the stylesheet. The
// pages refer to the set's schemas in the folder schema, and to asyncapi.json.
func HTML(set contract.Set, entries []Entry) (map[string]string, error) {
	envelope, err := Fields(set.Envelope)
	if err != nil {
		return nil, err
	}
	definitions, err := Definitions(set.Envelope)
	if err != nil {
		return nil, err
	}
	all := map[string]string{"page.css": page.Stylesheet()}
	render := func(file, name string, v view) error {
		var b bytes.Buffer
		if err := pages[name].Execute(&b, v); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		all[file] = b.String()
		return nil
	}
	if err := render("index.html", "index.html", view{Title: "Events", Entries: entries, Envelope: envelope, Definitions: definitions}); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := render(string(e.Type)+".html", "event.html", view{Title: string(e.Type), Entry: &e}); err != nil {
			return nil, err
		}
	}
	return all, nil
}
