package doctor

import (
	"context"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/migration"
)

// examineVersions reports consumers and nodes that get a version of an event type that they cannot read.
func (x *Examination) examineVersions(ctx context.Context, broker rabbitmq.Config, api *management.Client) {
	if x.db == nil || api == nil {
		return
	}
	states, err := versions.Read(ctx, x.db)
	if err != nil {
		return // the database's state is reported already
	}
	for _, state := range states {
		m := migration.Migration{Type: state.Type, DB: x.db, Broker: broker, Management: api, Subscriptions: workers.Subscriptions()}
		s, err := m.Status(ctx)
		if err != nil {
			continue // a management API that does not answer is reported already
		}
		found := s.Drift()
		for _, what := range found {
			x.problem("versions", "composerp contracts migrate "+string(state.Type)+" --status", "%s", what)
		}
		if len(found) == 0 && s.Stage != versions.Old {
			x.ok("versions", "%s is in the stage %s, and every consumer reads what it gets", state.Type, s.Stage)
		}
	}
}
