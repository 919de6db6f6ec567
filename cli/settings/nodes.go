package settings

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/composerp/composerp/cli/exit"
)

// nextURL is a comma that the scheme of another URL follows. Other commas belong to a URL: a password may have them,
// and a database's URL may name several hosts.
var nextURL = regexp.MustCompile(`,\s*[A-Za-z][A-Za-z0-9+.-]*://`)

// SplitURLs splits a list of URLs with commas between.
func SplitURLs(list string) (urls []string) {
	for {
		at := nextURL.FindStringIndex(list)
		if at == nil {
			return append(urls, strings.TrimSpace(list))
		}
		urls = append(urls, strings.TrimSpace(list[:at[0]]))
		list = list[at[0]+len(","):]
	}
}

// nodesOf are the URLs of a broker's nodes. A broker's URL names one host.
func nodesOf(list string) ([]string, error) {
	nodes := SplitURLs(list)
	for _, node := range nodes {
		if u, err := url.Parse(node); err == nil && strings.Contains(u.Host, ",") {
			return nil, exit.Misconfigured("a URL of %s names several hosts: each node wants a URL of its own, amqp://…,amqp://…", Named(FlagAMQP).Variable())
		}
	}
	return nodes, nil
}
