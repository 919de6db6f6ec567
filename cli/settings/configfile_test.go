package settings

import "testing"

func TestFilesThatSayNothing(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "# nothing yet\n", "tenant:\n", "---\ntenant: a\n"} {
		if _, err := parseConfig("c.yaml", []byte(content)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func FuzzConfigurationFile(f *testing.F) {
	f.Add("tenant: a\nslots: {ledger: 2}\namqp_url: [a, b]\n")
	f.Fuzz(func(t *testing.T, content string) {
		if c, err := parseConfig("c.yaml", []byte(content)); (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}
