package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
)

// examineVersion reports versions of the broker that are known to lose messages, and what an upgrade has left undone.
func (x *Examination) examineVersion(ctx context.Context, api *management.Client, overview management.Overview) {
	if !overview.Before("4.3") && overview.Before("4.3.3") {
		x.warn("version", "upgrade RabbitMQ to 4.3.3 or later", "RabbitMQ %s can lose dead letters of quorum queues, or leave them behind", overview.Version)
	}
	flags, err := api.FeatureFlags(ctx)
	if errors.Is(err, rabbitmq.ErrAccessRefused) {
		x.unseen("feature flags", "an administrator of the broker", "rabbitmqctl list_feature_flags on a node")
		return
	}
	if err != nil {
		x.unasked("feature flags", err)
		return
	}
	var off []string
	for _, f := range flags {
		if f.Stability != "experimental" && f.State == "disabled" {
			off = append(off, f.Name)
		}
	}
	if len(off) > 0 {
		x.warn("feature flags", "rabbitmqctl enable_feature_flag all, once all nodes have the same version: the next upgrade is refused without",
			"%d feature flags are off: %s", len(off), strings.Join(off, ", "))
		return
	}
	x.ok("feature flags", "all are enabled that this version has ready")
}
