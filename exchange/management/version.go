package management

import (
	"context"
	"fmt"
	"net/http"
)

// Before reports whether the broker is older than a version such as "4.3.3"; false when its version cannot be read.
func (o Overview) Before(version string) bool {
	is, err := numbers(o.Version)
	than, thanErr := numbers(version)
	if err != nil || thanErr != nil {
		return false
	}
	for i := range is {
		if is[i] != than[i] {
			return is[i] < than[i]
		}
	}
	return false
}

// numbers reads major, minor and patch of "4.0.5" or "4.3.0-rc.1"; a patch that is missing is 0.
func numbers(version string) (n [3]int, err error) {
	if read, err := fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2]); read < 2 {
		return n, fmt.Errorf("reading version %q: %w", version, err)
	}
	return n, nil
}

// FeatureFlag is one behaviour that a broker keeps off until it is enabled, so that older nodes can be in its cluster.
type FeatureFlag struct {
	Name      string `json:"name"`
	State     string `json:"state"`     // enabled, disabled, unavailable or state_changing
	Stability string `json:"stability"` // required, stable or experimental
}

// FeatureFlags returns the broker's feature flags.
func (m *Client) FeatureFlags(ctx context.Context) ([]FeatureFlag, error) {
	var flags []FeatureFlag
	err := m.call(ctx, http.MethodGet, "/api/feature-flags", nil, &flags)
	return flags, err
}
