package monitoring

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed console.html
var consolePage string

// placeholder is where the page has its list of dashboards.
const placeholder = "/* dashboards */ []"

// consoleDashboard and consolePanel are what the page's script reads.
type consoleDashboard struct {
	Name        string       `json:"name"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	PerWorker   bool         `json:"perWorker,omitempty"`
	Rows        []consoleRow `json:"rows"`
}

type consoleRow struct {
	Title  string         `json:"title"`
	Panels []consolePanel `json:"panels"`
}

type consolePanel struct {
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Unit        Unit    `json:"unit"`
	Query       string  `json:"query"`
	Legend      string  `json:"legend,omitempty"`
	Number      bool    `json:"number,omitempty"`
	Limit       float64 `json:"limit,omitempty"`
}

// Console is a page for Prometheus' /consoles, which draws every panel of the dashboards and loads nothing but
// Prometheus' own answers. Prometheus takes a console for a Go template: the page has no two braces in a row.
func Console(dashboards []Dashboard) string {
	list := make([]consoleDashboard, len(dashboards))
	for i, d := range dashboards {
		list[i] = consoleDashboard{Name: d.Name, Title: d.Title, Description: d.Description, PerWorker: d.PerWorker}
		for _, r := range d.Rows {
			row := consoleRow{Title: r.Title}
			for _, p := range r.Panels {
				row.Panels = append(row.Panels, consolePanel{p.Title, p.Description, p.Unit, p.Whole(), p.Legend, p.Number, p.Limit})
			}
			list[i].Rows = append(list[i].Rows, row)
		}
	}
	// encoding/json writes < as an escape, so that no text ends the script.
	raw, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		panic(fmt.Sprintf("encoding the dashboards: %v", err))
	}
	return strings.Replace(consolePage, placeholder, string(raw), 1)
}
