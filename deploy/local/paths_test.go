package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local"
)

// TestAnyPath has the servers' data below directories that scripts and configuration files read otherwise than as they
// are, or cut.
func TestAnyPath(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"blanks":    " two  blanks ",
		"quotes":    `it's "quoted" \ and back`,
		"brackets":  "a [b] {c} (d) <e>",
		"shell":     "$HOME `id` & ; | * ? ~ # ! %s %20 = , @",
		"cyrillic":  "Данные сервера ёж",
		"long":      strings.Repeat("long/", 40) + "end",
		"long name": strings.Repeat("n", 200),
		"newline":   "two\nlines",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := tempDir(t)
			servers := start(t, local.Config{Dir: filepath.Join(parent, dir)})
			writeRow(t, servers.DatabaseURL)
			publishOne(t, servers.AMQPURL)
			if err := servers.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantNoProcess(t, filepath.Join(parent, dir))
			servers = start(t, local.Config{Dir: filepath.Join(parent, dir)})
			wantRow(t, servers.DatabaseURL)
			wantMessage(t, servers.AMQPURL)
			if err := servers.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left, _ := os.ReadDir(parent); len(left) > 1 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
