// Package contract holds the catalogue of events to what was published of it before: the schemas that external systems
// and other versions of the fleet were built against, and golden events that a fleet has really emitted.
//
// The folder published is the last published set. It changes by `composerp contracts publish` alone, which refuses what
// Compare calls breaking, and which never deletes a golden event. The folder golden has the events of a run of the
// fleet as it is now; a test of package cli makes them.
//
// Compare knows the keywords that event's schemas use, and most others that narrow a value. A keyword that it does not
// know may stay as it is; a change of one is breaking, since nothing is known about it.
package contract

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// Contract is what is promised of an event type, beside the schemas of its versions.
type Contract struct {
	Type event.Type `json:"type"`
	// Versions are those that are read, the oldest first; the last is the one that is written.
	Versions      []string `json:"versions"`
	RoutingKey    string   `json:"routingKey"`
	AggregateType string   `json:"aggregateType"`
	// Outside is true when external publishers may publish the type.
	Outside bool `json:"outside"`
}

// Version is the version that is written.
func (c Contract) Version() string { return c.Versions[len(c.Versions)-1] }

// Set is a catalogue with its schemas and golden events.
type Set struct {
	Types []Contract
	// Envelope is the envelope's schema. The payloads' schemas refer to its definitions.
	Envelope string
	// Schemas are the payloads' schemas, by Name.
	Schemas map[string]string
	// Golden are events that a fleet has emitted, by Name.
	Golden map[string][]string
}

// Name is the name of a type in a version, as in SALE_COMPLETED-1.0.
func Name(t event.Type, version string) string { return string(t) + "-" + version }

// Find returns the contract of a type.
func (s Set) Find(t event.Type) (Contract, bool) {
	i := slices.IndexFunc(s.Types, func(c Contract) bool { return c.Type == t })
	if i < 0 {
		return Contract{}, false
	}
	return s.Types[i], true
}

//go:embed golden/*.ndjson
var goldenFiles embed.FS

//go:embed published
var publishedFiles embed.FS

// Current returns the catalogue of this program, with the golden events that it was built with.
func Current() (Set, error) {
	s := Set{Envelope: event.EnvelopeSchema(), Schemas: map[string]string{}}
	for _, t := range event.Types() {
		d, _ := event.Lookup(t)
		c := Contract{Type: t, RoutingKey: d.RoutingKey, AggregateType: d.AggregateType, Outside: d.Outside}
		for _, f := range d.Former {
			c.Versions = append(c.Versions, f.Version)
			s.Schemas[Name(t, f.Version)] = f.Schema
		}
		c.Versions = append(c.Versions, d.Version)
		s.Schemas[Name(t, d.Version)] = d.Schema
		s.Types = append(s.Types, c)
	}
	golden, err := fs.Sub(goldenFiles, "golden")
	if err == nil {
		s.Golden, err = readGolden(golden)
	}
	return s, err
}

// Published returns the last published set that this program was built with.
func Published() (Set, error) {
	files, err := fs.Sub(publishedFiles, "published")
	if err != nil {
		return Set{}, err
	}
	return Read(files)
}

// The files of a published set.
const (
	catalogueFile = "catalogue.json"
	envelopeName  = "envelope-1.0"
	schemaFolder  = "schema"
	eventsFolder  = "events"
)

// ErrNoSet means that a folder holds no published set.
var ErrNoSet = errors.New("no published set")

// Read reads a published set.
func Read(files fs.FS) (Set, error) {
	s := Set{Schemas: map[string]string{}}
	text, err := fs.ReadFile(files, catalogueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNoSet
	}
	if err == nil {
		err = json.Unmarshal(text, &s.Types)
	}
	if err != nil {
		return s, fmt.Errorf("reading %s of a published set: %w", catalogueFile, err)
	}
	envelope, err := fs.ReadFile(files, schemaFolder+"/"+envelopeName+".json")
	if err != nil {
		return s, fmt.Errorf("reading a published set: %w", err)
	}
	s.Envelope = string(envelope)
	for _, c := range s.Types {
		if len(c.Versions) == 0 {
			return s, fmt.Errorf("reading %s of a published set: %s has no version", catalogueFile, c.Type)
		}
		for _, v := range c.Versions {
			text, err := fs.ReadFile(files, schemaFolder+"/"+Name(c.Type, v)+".json")
			if err != nil {
				return s, fmt.Errorf("reading a published set: %w", err)
			}
			s.Schemas[Name(c.Type, v)] = string(text)
		}
	}
	events, err := fs.Sub(files, eventsFolder)
	if err != nil {
		return s, err
	}
	s.Golden, err = readGolden(events)
	return s, err
}

// readGolden reads the events of a folder of NDJSON files.
func readGolden(files fs.FS) (map[string][]string, error) {
	all := map[string][]string{}
	names, err := fs.Glob(files, "*.ndjson")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading golden events: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" {
				of := strings.TrimSuffix(name, ".ndjson")
				all[of] = append(all[of], line)
			}
		}
	}
	return all, nil
}

// Onto returns the set as the next published one: with the golden events of the last one kept, and new ones added.
func (s Set) Onto(last Set) Set {
	golden := map[string][]string{}
	maps.Copy(golden, last.Golden)
	for name, events := range s.Golden {
		golden[name] = slices.Clone(golden[name])
		for _, e := range events {
			if !slices.Contains(golden[name], e) {
				golden[name] = append(golden[name], e)
			}
		}
	}
	s.Golden = golden
	return s
}

// Files returns the set's files by their paths.
func (s Set) Files() (map[string]string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s.Types); err != nil {
		return nil, err
	}
	files := map[string]string{catalogueFile: b.String(), filepath.Join(schemaFolder, envelopeName+".json"): s.Envelope}
	for name, schema := range s.Schemas {
		files[filepath.Join(schemaFolder, name+".json")] = schema
	}
	for name, events := range s.Golden {
		files[filepath.Join(eventsFolder, name+".ndjson")] = strings.Join(events, "\n") + "\n"
	}
	return files, nil
}

// WriteFiles writes files into a folder, which it makes, and returns how many have changed.
func WriteFiles(dir string, files map[string]string) (changed int, err error) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if is, err := os.ReadFile(path); err == nil && string(is) == files[name] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return changed, err
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			return changed, err
		}
		changed++
	}
	return changed, nil
}
