package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
)

// object is a JSON object. encoding/json sorts its keys, so that a change of the list is a small change of the file.
type object = map[string]any

// source is Grafana's name of the data source: a variable, so that any Prometheus will do.
var source = object{"type": "prometheus", "uid": "${datasource}"}

const (
	gridColumns = 24
	panelHeight = 7
	tileHeight  = 4 // of a panel that is a number
)

// Grafana is a dashboard as Grafana reads it.
func Grafana(d Dashboard) string {
	var panels []object
	y, id := 0, 0
	for _, row := range d.Rows {
		id++
		panels = append(panels, object{
			"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{},
			"gridPos": object{"x": 0, "y": y, "w": gridColumns, "h": 1},
		})
		y++
		columns, height := columnsOf(row), panelHeight
		if row.Panels[0].Number {
			height = tileHeight
		}
		for i, p := range row.Panels {
			if i > 0 && i%columns == 0 {
				y += height
			}
			id++
			panels = append(panels, grafanaPanel(id, p, object{"x": i % columns * gridColumns / columns, "y": y, "w": gridColumns / columns, "h": height}))
		}
		y += height
	}
	return indented(object{
		"uid": "composerp-" + d.Name, "title": "Composerp: " + d.Title, "description": d.Description, "tags": []string{"composerp"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "10s", "time": object{"from": "now-30m", "to": "now"},
		"annotations": object{"list": []any{}}, "templating": object{"list": variables(d)}, "panels": panels,
	})
}

// columnsOf is how many panels of a row stand beside each other.
func columnsOf(r Row) int {
	switch n := len(r.Panels); {
	case r.Panels[0].Number:
		return 6
	case n%3 == 0 || n == 5:
		return 3
	case n == 1:
		return 1
	default:
		return 2
	}
}

func variables(d Dashboard) []object {
	list := []object{{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}}
	if d.PerWorker {
		list = append(list, object{
			"name": "worker", "label": "Worker", "type": "query", "datasource": source, "hide": 0, "sort": 1, "refresh": 2,
			"query": "label_values(composerp_worker_slots, worker)", "current": object{"text": firstWorker, "value": firstWorker},
		})
	}
	return list
}

// firstWorker is chosen until the reader chooses another.
const firstWorker = "ledger"

func grafanaPanel(id int, p Panel, at object) object {
	legend := p.Title
	if p.Legend != "" {
		legend = "{{" + p.Legend + "}}"
	}
	defaults := object{"unit": string(p.Unit), "min": 0}
	if p.Limit > 0 {
		defaults["thresholds"] = object{"mode": "absolute", "steps": []object{{"color": "green", "value": nil}, {"color": "red", "value": p.Limit}}}
	}
	panel := object{
		"id": id, "type": "timeseries", "title": p.Title, "description": p.Description, "gridPos": at, "datasource": source,
		"targets":     []object{{"refId": "A", "expr": p.Expand("$__rate_interval", "$worker"), "legendFormat": legend, "datasource": source}},
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}},
		"options":     object{"legend": object{"showLegend": p.Legend != "", "displayMode": "list", "placement": "bottom", "calcs": []any{}}, "tooltip": object{"mode": "multi", "sort": "desc"}},
	}
	if p.Number {
		panel["type"] = "stat"
		panel["options"] = object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "graphMode": "area", "colorMode": "value",
			"justifyMode": "auto", "textMode": "auto", "wideLayout": true, "orientation": "auto",
			"showPercentChange": false, "percentChangeColorMode": "standard",
		}
	}
	return panel
}

func indented(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encoding what is made of maps, texts and numbers alone: %v", err))
	}
	return text.String()
}
