package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
)

// knownNames are names that only the servers know, by the command whose JSON has them.
type knownNames struct {
	command     string
	list        string // the field that holds the list; "": the command prints the list itself
	name, about string // fields of an element
	without     string // elements whose about is this are left out
}

var (
	orders        = knownNames{"po list --limit 200", "", "poNumber", "supplierId", ""}
	pendingOrders = knownNames{"po list --limit 200 --status pending", "", "poNumber", "supplierId", ""}
	letters       = knownNames{"dlq list --each --limit 200", "letters", "id", "error", ""}
	classes       = knownNames{"quarantine list", "", "class", "sample", ""}
	items         = knownNames{"item list --limit 1000", "", "itemId", "name", ""}
	locations     = knownNames{"location list", "", "locationId", "name", ""}
	suppliers     = knownNames{"supplier list", "", "supplierId", "name", ""}
	nodes         = knownNames{"worker list --nodes", "", "node", "state", "lost"}
	tenants       = knownNames{"tenant list", "", "tenantId", "", ""}
	lateEvents    = knownNames{"events late --limit 200", "", "eventId", "widest", ""}
)

// completionTimeout is how long a person who presses TAB waits for names.
const completionTimeout = time.Second

// longestAbout is how many characters of a description are shown.
const longestAbout = 60

// candidates asks the servers that the words lead to. When they are away, or slow, there are none.
func (k knownNames) candidates(words []string) []candidate {
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	var out bytes.Buffer
	answered := make(chan bool, 1)
	go func() {
		line := slices.Concat([]string{"composerp"}, strings.Fields(k.command), []string{"--" + terminal.FlagOutput, "json"}, serversOf(words))
		answered <- run(ctx, line, strings.NewReader(""), &out, io.Discard) == exit.OK
	}()
	select {
	case <-ctx.Done():
		return nil
	case ok := <-answered:
		if !ok {
			return nil
		}
	}
	return k.read(out.Bytes())
}

func (k knownNames) read(raw []byte) (found []candidate) {
	if k.list != "" {
		var holder map[string]json.RawMessage
		if json.Unmarshal(raw, &holder) != nil {
			return nil
		}
		raw = holder[k.list]
	}
	var elements []map[string]any
	if json.Unmarshal(raw, &elements) != nil {
		return nil
	}
	for _, e := range elements {
		name, _ := e[k.name].(string)
		about, _ := e[k.about].(string)
		c := candidate{name, wording.Shortened(wording.OneLine(about), longestAbout)}
		if name != "" && (k.without == "" || about != k.without) && !slices.ContainsFunc(found, func(other candidate) bool { return other.text == name }) {
			found = append(found, c)
		}
	}
	return found
}

// serversOf are the flags on the line that say where the servers are.
func serversOf(words []string) (flags []string) {
	for i, w := range words {
		name, _, given := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if !strings.HasPrefix(w, "--") || !slices.Contains([]string{settings.FlagDatabase, settings.FlagDir, settings.FlagConfig}, name) {
			continue
		}
		if given {
			flags = append(flags, w)
		} else if i+1 < len(words) {
			flags = append(flags, w, words[i+1])
		}
	}
	return flags
}

// namesOfFlag are the names that a flag's value may be.
func namesOfFlag(here place, flag string) (names knownNames, known bool) {
	switch flag {
	case "item":
		return items, true
	case "location":
		return locations, true
	case "supplier":
		return suppliers, true
	case "node":
		return nodes, true
	case settings.FlagTenant:
		return tenants, true
	case "quarantine":
		return classes, true
	case "id":
		return letters, len(here.path) > 0 && here.path[0] == "dlq"
	}
	return knownNames{}, false
}

// namesOfArgument are the names that an argument may be, by the word of the command's usage.
func namesOfArgument(here place, word string) (names knownNames, known bool) {
	switch word {
	case "ID|NUMBER":
		if last := here.path[len(here.path)-1]; last == "show" || last == "why" {
			return orders, true
		}
		return pendingOrders, true
	case "ID":
		return letters, true
	case "EVENT-ID":
		return lateEvents, true
	case "CLASS":
		return classes, true
	case "NODE":
		return nodes, true
	case "ITEM":
		return items, true
	case "LOCATION":
		return locations, true
	}
	return knownNames{}, false
}
