package benchmark

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Series is one of a file. The last Horizon values are held back: methods see those before.
type Series struct {
	ID      string    `json:"id"`
	Period  int       `json:"period"`
	Horizon int       `json:"horizon"`
	Values  []float64 `json:"values"`
}

// history is what a method sees.
func (s *Series) history() []float64 { return s.Values[:len(s.Values)-s.Horizon] }

// happened is what it is measured by.
func (s *Series) happened() []float64 { return s.Values[len(s.Values)-s.Horizon:] }

// leastSeen is how many values a series has before those held back.
const leastSeen = 3

func (s *Series) check() error {
	switch {
	case s.ID == "":
		return errors.New("the id is missing")
	case s.Period < 1:
		return fmt.Errorf("series %s has the period %d: want how many values a season has, 1 for none", s.ID, s.Period)
	case s.Horizon < 1:
		return fmt.Errorf("series %s has the horizon %d: want how many of its last values are held back, 1 at least", s.ID, s.Horizon)
	case len(s.Values) < s.Horizon+leastSeen:
		return fmt.Errorf("series %s has %d values: want %d at least before the %d that are held back", s.ID, len(s.Values), leastSeen, s.Horizon)
	}
	for i, v := range s.Values {
		if math.IsNaN(v) || math.Abs(v) > largest {
			return fmt.Errorf("value %d of series %s is %v: want a number up to %v", i+1, s.ID, v, largest)
		}
	}
	return nil
}

// largest is the largest value of a series: squares and sums of it are numbers still.
const largest = 1e15

// extensions are those of the files that are read.
var extensions = []string{".ndjson", ".jsonl", ".csv"}

// ErrNoSeries means that there is nothing to measure. Its text says what is wanted.
var ErrNoSeries = errors.New("no series")

// Read reads the files of a folder, in the order of their names, that end in .ndjson, .jsonl or .csv; of a single
// file, that one. Errors name the file and the line.
func Read(path string) (all []Series, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		files = files[:0]
		for _, e := range entries {
			if !e.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	for _, file := range files {
		read, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		all = append(all, read...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w in %s: want files that end in %s; docs/howto/forecast-benchmark.md has the format", ErrNoSeries, path, strings.Join(extensions, ", "))
	}
	return all, nil
}

func readFile(path string) ([]Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		return readCSV(f)
	}
	return readLines(f)
}

// longestLine is of a file of JSON lines, in bytes.
const longestLine = 64 << 20

func readLines(r io.Reader) (all []Series, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var s Series
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&s)
		if err == nil {
			err = s.check()
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, s)
	}
	return all, lines.Err()
}

// csvHead is how the first line of a CSV file begins; the names of further columns are of no account.
var csvHead = []string{"id", "period", "horizon"}

func readCSV(r io.Reader) (all []Series, err error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		if first {
			if len(row) < len(csvHead) || !slices.Equal(row[:len(csvHead)], csvHead) {
				return nil, fmt.Errorf("line %d: the first line must begin with %s", line, strings.Join(csvHead, ","))
			}
			continue
		}
		s, err := rowOf(row)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		all = append(all, s)
	}
}

func rowOf(row []string) (s Series, err error) {
	if len(row) < len(csvHead) {
		return s, fmt.Errorf("want %s and the values", strings.Join(csvHead, ", "))
	}
	s.ID = strings.Clone(row[0])
	for i, into := range []*int{&s.Period, &s.Horizon} {
		if *into, err = strconv.Atoi(row[i+1]); err != nil {
			return s, fmt.Errorf("the %s %q is no whole number", csvHead[i+1], row[i+1])
		}
	}
	values := row[len(csvHead):]
	for len(values) > 0 && values[len(values)-1] == "" { // rows of unlike lengths are filled up by spreadsheets
		values = values[:len(values)-1]
	}
	for i, text := range values {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return s, fmt.Errorf("value %d of series %s is %q: want a number; leave out or fill gaps", i+1, s.ID, text)
		}
		s.Values = append(s.Values, v)
	}
	return s, s.check()
}
