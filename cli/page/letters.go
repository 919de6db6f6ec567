package page

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	letterlog "github.com/composerp/composerp/cli/deadletters"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/operatorlog"
)

const (
	// mostKinds is how many kinds of dead letters are listed, mostClasses how many quarantined classes.
	mostKinds, mostClasses = 50, 50
	// redriveAge is for how long a redrive is shown, rehearsalAge for how long a rehearsal counts.
	redriveAge, rehearsalAge = 24 * time.Hour, 7 * 24 * time.Hour
	// redriveQuiet is after how long without a letter a redrive is not going on any more.
	redriveQuiet = 15 * time.Second
	// mostRehearsals is how many of the last rehearsals are looked through.
	mostRehearsals = 100
)

// letters are a tenant's dead letters, and those that name no tenant.
type letters struct {
	Pending  int
	Kinds    []letterKind
	Unread   []letterKind // kinds of letters without a tenant
	More     int          // kinds that are not listed
	Redrives []redrive
	Classes  []failures.Quarantine
}

// redrive is how far letters of one worker have come.
type redrive struct{ failures.RedriveProgress }

// Stands says whether it goes on, and how long the rest needs then.
func (r redrive) Stands() string {
	switch quiet := time.Since(r.Last); {
	case r.Pending == 0:
		return "ended " + age(quiet)
	case quiet > redriveQuiet:
		return "stands since " + age(quiet)
	case r.Remaining() > 0:
		return "goes on, needs " + wording.Span(r.Remaining()) + " for all that are left"
	}
	return "goes on"
}

// Speed is how many letters it sends back in a second.
func (r redrive) Speed() string {
	if rate := r.Rate(); rate > 0 {
		return fmt.Sprintf("%.1f /s", rate)
	}
	return "–"
}

// letterKind is dead letters of one worker, type and error.
type letterKind struct {
	failures.LetterGroup
	Tenant    string     // "": none
	Rehearsal *rehearsal // the newest that had these letters among its own; nil: none
}

// Chosen are the flags that choose the letters of the kind.
func (k letterKind) Chosen() []any {
	flags := []any{"--queue", k.Consumer}
	for _, f := range [][2]string{{"--error", k.Fingerprint}, {"--type", k.Type}, {"--tenant", k.Tenant}} {
		if f[1] != "" {
			flags = append(flags, f[0], f[1])
		}
	}
	return flags
}

// rehearsal is one of `dlq redrive --dry-run`.
type rehearsal struct {
	letterlog.Rehearsed
	At    time.Time
	queue string
}

func readLetters(ctx context.Context, p *Page, q question) (any, error) {
	var l letters
	var err error
	if l.Pending, err = pendingLetters(ctx, p, q.tenant); err != nil {
		return nil, err
	}
	rehearsals, err := readRehearsals(ctx, p)
	if err != nil {
		return nil, err
	}
	of, unread := lettersOf(q.tenant)
	if l.Kinds, err = l.kinds(ctx, p, of, rehearsals); err != nil {
		return nil, err
	}
	if l.Unread, err = l.kinds(ctx, p, unread, rehearsals); err != nil {
		return nil, err
	}
	redrives, err := failures.RedrivesSince(ctx, p.cfg.DB, of, time.Now().Add(-redriveAge))
	if err != nil {
		return nil, err
	}
	for _, r := range redrives {
		l.Redrives = append(l.Redrives, redrive{r})
	}
	l.Classes, err = failures.Quarantined(ctx, p.cfg.DB, false)
	l.Classes, _ = first(l.Classes, mostClasses)
	return l, err
}

// lettersOf choose a tenant's letters, and those that name none: any tenant's operator may have to decide about them.
func lettersOf(tenant string) (of, unread failures.LetterFilter) {
	return failures.LetterFilter{Tenant: tenant}, failures.LetterFilter{NoTenant: true}
}

// kinds are the kinds of a filter's letters, and adds to l how many there are beyond.
func (l *letters) kinds(ctx context.Context, p *Page, of failures.LetterFilter, rehearsals []rehearsal) (kinds []letterKind, err error) {
	groups, err := failures.LetterGroups(ctx, p.cfg.DB, of, mostKinds+1)
	groups, more := first(groups, mostKinds)
	l.More += more
	for _, g := range groups {
		kinds = append(kinds, letterKind{g, of.Tenant, newestOf(rehearsals, g, of.Tenant)})
	}
	return kinds, err
}

// pendingLetters counts the dead letters of a tenant and of none that wait for a decision.
func pendingLetters(ctx context.Context, p *Page, tenant string) (n int, err error) {
	of, unread := lettersOf(tenant)
	for _, chosen := range []failures.LetterFilter{of, unread} {
		consumers, err := failures.LettersByConsumer(ctx, p.cfg.DB, chosen)
		if err != nil {
			return 0, err
		}
		for _, c := range consumers {
			n += c.Lying
		}
	}
	return n, nil
}

// readRehearsals are the last rehearsals, the newest first.
func readRehearsals(ctx context.Context, p *Page) (list []rehearsal, err error) {
	entries, err := operatorlog.List(ctx, p.cfg.DB, operatorlog.Query{Action: letterlog.ActionRehearse, Since: time.Now().Add(-rehearsalAge), Limit: mostRehearsals})
	for _, e := range entries {
		r := rehearsal{At: e.At, queue: e.Subject}
		if json.Unmarshal(e.After, &r.Rehearsed) == nil {
			list = append(list, r)
		}
	}
	return list, err
}

// newestOf is the newest rehearsal that had all letters of a kind among its own, and was made after the last of them
// had died.
func newestOf(rehearsals []rehearsal, g failures.LetterGroup, tenant string) *rehearsal {
	known := map[string]string{"type": g.Type, "error": g.Fingerprint, "quarantine": g.Quarantine, "tenant": tenant}
	for i, r := range rehearsals {
		if r.queue == topology.DeadQueueName(g.Consumer) && r.At.After(g.Newest) && covers(r.Of, known) {
			return &rehearsals[i]
		}
	}
	return nil
}

// covers reports whether a filter asks for nothing but what is known.
func covers(filter map[string]any, known map[string]string) bool {
	for name, value := range filter {
		if text, ok := value.(string); !ok || known[name] != text {
			return false
		}
	}
	return true
}
