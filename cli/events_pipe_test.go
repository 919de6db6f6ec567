package cli_test

import (
	"os/exec"
	"testing"

	"github.com/composerp/composerp/store/storetest"
)

// A reader that has enough, such as head, ends a query well, and nothing is said.
func TestAQueryEndsWithItsReader(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	storetest.Exec(t, url, `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		SELECT 1, true, now(), gen_random_uuid(), 'shop', 'SALE_COMPLETED', '1.0', 'S' || i, '', '{}' FROM generate_series(1, 20000) i`)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `"$0" events query --limit 0 -o ndjson --database-url "$1" | head -1 >/dev/null; echo "${PIPESTATUS[@]}"`, path, url)
	cmd.Env = cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "0 0\n" {
		t.Errorf("it ends with %v: %s", err, out)
	}
}
