package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/runtime/unrouted"
)

// UnroutedName is what --queue calls composerp.unrouted.
var UnroutedName = workerOf(topology.Unrouted)

// orUnrouted is the action of a command that also works on composerp.unrouted, with --queue unrouted. No table has
// these messages, so that it needs no database.
func orUnrouted(letters, unrouted cli.ActionFunc) cli.ActionFunc {
	return func(cctx *cli.Context) error {
		names := consumers(cctx)
		if !slices.Contains(names, UnroutedName) {
			return letters(cctx)
		}
		if len(names) > 1 {
			return exit.Usage("--queue %s: name it alone; no worker has these messages", UnroutedName)
		}
		return unrouted(cctx)
	}
}

// unroutedQueue is a session with the broker, and what is known of its routes.
type unroutedQueue struct {
	session *rabbitmq.Session
	routes  unrouted.Routes
	ready   int // messages in it
}

func (q unroutedQueue) Close() error { return q.session.Close() }

func openUnrouted(cctx *cli.Context) (q unroutedQueue, err error) {
	e, err := settings.Discover(cctx)
	if err != nil {
		return q, err
	}
	broker, err := settings.LoggedBroker(cctx, e, "dlq")
	if err != nil {
		return q, err
	}
	return openQueue(cctx.Context, e, broker)
}

// openQueue makes sure that no other consumer has the queue.
func openQueue(ctx context.Context, e settings.Endpoints, broker rabbitmq.Config) (q unroutedQueue, err error) {
	if q.routes, err = routesOf(ctx, e, broker); err != nil {
		return q, err
	}
	if q.session, err = rabbitmq.Open(ctx, broker); err != nil {
		return q, err
	}
	taking := 0
	if q.ready, taking, err = q.session.Depth(topology.Unrouted); err == nil && taking > 0 {
		err = fmt.Errorf("taking from %s: %w", topology.Unrouted, deadletters.ErrBusy)
	}
	if err != nil {
		q.Close()
	}
	return q, err
}

// routesOf asks the management API for the bindings; without it those of the fleet count as there.
func routesOf(ctx context.Context, e settings.Endpoints, broker rabbitmq.Config) (unrouted.Routes, error) {
	api, err := settings.ManagementClient(e)
	if err != nil || api == nil {
		return unrouted.RoutesOf(workers.Topology(), nil), err
	}
	vhost, err := broker.Vhost()
	if err != nil {
		return unrouted.Routes{}, err
	}
	bindings, err := api.BindingsFrom(ctx, vhost, topology.Events)
	if errors.Is(err, rabbitmq.ErrUnreachable) {
		return unrouted.RoutesOf(workers.Topology(), nil), nil
	}
	if err != nil && !errors.Is(err, rabbitmq.ErrMissing) { // without the exchange there are no bindings
		return unrouted.Routes{}, err
	}
	return unrouted.RoutesOf(workers.Topology(), &topology.Topology{Bindings: bindings}), nil
}

const unroutedTag = "dlq.unrouted"

// each calls see with the messages that are chosen.
func (q unroutedQueue) each(ctx context.Context, of chosen, see func(unrouted.Letter) error) (absent int, err error) {
	n := 0
	return unrouted.Read(ctx, q.session, unroutedTag, q.routes, func(l unrouted.Letter) (more bool, err error) {
		if !l.Matches(of.LetterFilter) {
			return true, nil
		}
		n++
		return of.limit == 0 || n < of.limit, see(l)
	})
}

// unroutedGroup are messages of one key, type and reason.
type unroutedGroup struct {
	Key     string          `json:"routingKey"`
	Type    string          `json:"type"`
	Reason  unrouted.Reason `json:"reason"`
	Count   int             `json:"count"`
	Example string          `json:"example"`
	Do      string          `json:"do"`
}

// unroutedList is what `dlq list --queue unrouted` shows.
type unroutedList struct {
	Queue   string            `json:"queue"`
	InQueue int               `json:"inQueue"`
	Groups  []unroutedGroup   `json:"groups"`
	Letters []unrouted.Letter `json:"letters,omitempty"`
}

func listUnrouted(cctx *cli.Context, q unroutedQueue, of chosen) (err error) {
	list := unroutedList{Queue: topology.Unrouted, InQueue: q.ready, Groups: []unroutedGroup{}}
	_, err = q.each(cctx.Context, of, func(l unrouted.Letter) error {
		if cctx.Bool("each") {
			l.Headers, l.Body, l.BodyBase64 = nil, nil, nil
			list.Letters = append(list.Letters, l)
		}
		list.add(l)
		return nil
	})
	if err != nil {
		return err
	}
	return terminal.Show(cctx, list, func(w io.Writer) { list.table(w, cctx.Bool("each")) })
}

func (list *unroutedList) add(l unrouted.Letter) {
	i := slices.IndexFunc(list.Groups, func(g unroutedGroup) bool { return g.Key == l.RoutingKey && g.Type == l.Type })
	if i < 0 {
		i = len(list.Groups)
		list.Groups = append(list.Groups, unroutedGroup{Key: l.RoutingKey, Type: l.Type, Reason: l.Reason, Example: l.ID.String(), Do: l.Do})
	}
	list.Groups[i].Count++
}

func (list unroutedList) table(w io.Writer, each bool) {
	if len(list.Groups) == 0 {
		terminal.Row(w, list.Queue+" holds no such message")
		return
	}
	if each {
		terminal.Row(w, "TIMESTAMP", "KEY", "TYPE", "TENANT", "AGGREGATE", "ID", "REASON")
		for _, l := range list.Letters {
			terminal.Row(w, terminal.Moment(l.DiedAt), l.RoutingKey, cmp.Or(l.Type, "-"), cmp.Or(l.Tenant, "-"), cmp.Or(l.Aggregate, "-"), l.ID, l.Reason)
		}
		return
	}
	terminal.Row(w, "COUNT", "KEY", "TYPE", "REASON", "FOR EXAMPLE", "WHAT TO DO")
	for _, g := range list.Groups {
		terminal.Row(w, g.Count, g.Key, cmp.Or(g.Type, "-"), g.Reason, g.Example, g.Do)
	}
}

// UnroutedFinding is what the messages of one key and type in composerp.unrouted mean, and what to do about them.
type UnroutedFinding struct{ What, Do string }

// unroutedSample is how many messages are read for findings.
const unroutedSample = 1000

// UnroutedFindings reads the beginning of composerp.unrouted and leaves it as it was.
func UnroutedFindings(ctx context.Context, e settings.Endpoints, broker rabbitmq.Config) (found []UnroutedFinding, err error) {
	q, err := openQueue(ctx, e, broker)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	list := unroutedList{}
	if _, err := q.each(ctx, chosen{limit: unroutedSample}, func(l unrouted.Letter) error { list.add(l); return nil }); err != nil {
		return nil, err
	}
	for _, g := range list.Groups {
		what := fmt.Sprintf("%s of type %s under the key %s: %s", wording.Count(int64(g.Count), "event"), cmp.Or(g.Type, "unknown"), g.Key, g.Reason)
		found = append(found, UnroutedFinding{what, g.Do})
	}
	return found, nil
}
