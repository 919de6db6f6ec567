package monitoring

import (
	"regexp"
	"strings"
	"time"
)

// Severity says whom an alert reaches: deploy/alertmanager routes by it.
type Severity string

// The severities.
const (
	SeverityPage   Severity = "page"   // wakes a person
	SeverityTicket Severity = "ticket" // is looked at on the next working day
)

// Alert is one rule, with what its test needs.
type Alert struct {
	Name     string // in the form that Prometheus' rules have
	Expr     string
	For      time.Duration
	Severity Severity
	Summary  string // Summary and Do may have {{ $labels.worker }} and other labels
	Do       string // the first thing to do
	Firing   Case
	Quiet    []Series // at which it does not fire
}

// Case is series at which an alert fires at a time, with the labels that it then has beside its severity.
type Case struct {
	At     time.Duration
	Series []Series
	Labels map[string]string
}

// Series is one series of a test, its values in promtool's form, one a minute.
type Series struct{ Name, Values string }

const runbooks = "https://github.com/composerp/composerp/blob/main/docs/howto/runbooks/"

// Runbook is the name of the alert's page in docs/howto/runbooks, without .md.
func (a Alert) Runbook() string {
	words := upperCase.ReplaceAllString(strings.TrimPrefix(a.Name, "Composerp"), "-$0")
	return strings.ToLower(strings.TrimPrefix(words, "-"))
}

var upperCase = regexp.MustCompile(`[A-Z]`)

// annotations are what a person reads of the alert. With labels the places for them are filled, as Prometheus does it.
func (a Alert) annotations(labels map[string]string) map[string]string {
	var places []string
	for name, value := range labels {
		places = append(places, "{{ $labels."+name+" }}", value)
	}
	fill := strings.NewReplacer(places...)
	return map[string]string{"summary": fill.Replace(a.Summary), "do": fill.Replace(a.Do), "runbook_url": runbooks + a.Runbook() + ".md"}
}

// promDuration writes a duration as Prometheus does: 1h30m, 5m, 0s.
func promDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
