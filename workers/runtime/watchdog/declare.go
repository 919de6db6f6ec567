package watchdog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// declareTimeout bounds a declaration of everything that is missing.
const declareTimeout = 20 * time.Second

// declare declares what is missing, and before that records which consumers may lose events.
func (v *monitor) declare(ctx context.Context, now observer.Snapshot) {
	if now.Broker != nil && !now.Seen {
		return
	}
	missing := v.missing(now)
	if missing.Empty() {
		v.declareError = ""
		return
	}
	if v.switched(ctx) {
		return // what is missing by now is not what was missing then
	}
	err := v.recordGaps(ctx, v.history.gaps(missing))
	if err == nil {
		err = v.declareAnew(ctx, missing)
	}
	if err != nil {
		v.reportDeclareError(ctx, err)
		return
	}
	v.Metrics.repairs.WithLabelValues(repairExchange).Add(float64(len(missing.Exchanges)))
	v.Metrics.repairs.WithLabelValues(repairQueue).Add(float64(len(missing.Queues)))
	v.Metrics.repairs.WithLabelValues(repairBinding).Add(float64(len(missing.Bindings)))
	v.Log.Warn("missing topology declared", "exchanges", names(missing.Exchanges, func(e topology.ExchangeSpec) string { return e.Name }),
		"queues", names(missing.Queues, func(q topology.QueueSpec) string { return q.Name }),
		"bindings", names(missing.Bindings, bindingName))
	if lost := lostWith(missing.Exchanges, v.foreign); len(lost) > 0 {
		v.Log.Error("bindings of other programs are lost with an exchange", "bindings", names(lost, bindingName),
			"do", "let these programs bind again; what was published meanwhile did not reach their queues")
	}
	if lost := v.Plan.missingDeadQueues(missing); len(lost) > 0 {
		v.Log.Error("dead letters may be lost", "queues", lost, "do", "composerp audit tells which, by the dead-letter log; composerp republish brings back what is in the log")
	}
}

// missing is what this snapshot lacks, and the bindings that an earlier attempt did not get as far as declaring anew.
func (v *monitor) missing(now observer.Snapshot) topology.Topology {
	missing := v.Plan.Topology.Missing(now.Have)
	for _, b := range v.undeclared {
		if !slices.Contains(missing.Bindings, b) {
			missing.Bindings = append(missing.Bindings, b)
		}
	}
	return missing
}

// declareAnew declares exchanges and queues, removes the bindings, and declares them. RabbitMQ 4 may keep a binding
// that was made while its exchange was being deleted: it is listed again with the new exchange, it does not route, and
// declaring it changes nothing (docs/reference/versions.md).
//
// Intake's bindings come first in a topology: removed last and declared first, they miss no event that a worker gets.
func (v *monitor) declareAnew(ctx context.Context, missing topology.Topology) error {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	v.undeclared = missing.Bindings
	parts := missing
	parts.Bindings = nil
	if err := rabbitmq.Apply(ctx, parts, v.Broker); err != nil {
		return errors.Join(err, rabbitmq.Apply(ctx, missing, v.Broker))
	}
	removed := slices.Clone(missing.Bindings)
	slices.Reverse(removed)
	if err := rabbitmq.Unbind(ctx, v.Broker, removed); err != nil {
		return err
	}
	if err := rabbitmq.Apply(ctx, missing, v.Broker); err != nil {
		return err
	}
	v.undeclared = nil
	return nil
}

// lostWith are those of the bindings that were to one of the exchanges.
func lostWith(exchanges []topology.ExchangeSpec, bindings []topology.BindingSpec) (lost []topology.BindingSpec) {
	for _, b := range bindings {
		if slices.ContainsFunc(exchanges, func(e topology.ExchangeSpec) bool { return e.Name == b.Exchange }) {
			lost = append(lost, b)
		}
	}
	return lost
}

func bindingName(b topology.BindingSpec) string {
	return b.Exchange + " -" + b.RoutingKey + "-> " + b.Destination()
}

// reportDeclareError logs an error that comes a second time. The first one may be of a topology that was being
// deleted.
func (v *monitor) reportDeclareError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if text := wording.OneLine(err.Error()); text != v.declareError {
		v.declareError, v.reported = text, false
	} else if !v.reported {
		v.reported = true
		v.Log.Error("missing topology cannot be declared", "error", err, "do", "composerp topology apply, as a user with the permission to configure")
	}
}

func (v *monitor) recordGaps(ctx context.Context, gaps map[string]eventlog.Position) error {
	for consumer, after := range gaps {
		if err := eventlog.RecordGaps(ctx, v.DB, []string{consumer}, after); err != nil {
			return err
		}
	}
	return nil
}

func names[T any](all []T, name func(T) string) []string {
	list := make([]string, len(all))
	for i, one := range all {
		list[i] = name(one)
	}
	return list
}
