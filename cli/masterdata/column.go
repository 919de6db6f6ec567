package masterdata

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/cli/terminal"
)

// TenantColumn is the column of the tenant; rows without one belong to --tenant.
const TenantColumn = "tenantId"

// ofTenant gives a row to the tenant that the command line names.
func (s *Sheet[T]) ofTenant(row *T) {
	for i := range s.fields {
		if s.fields[i].name == TenantColumn {
			change, _ := s.fields[i].read(s.Tenant) // a text field takes every text
			change(row)
		}
	}
}

// bind finds out what columns mean.
func (s *Sheet[T]) bind(names []string) error {
	s.names, s.columns = slices.Clone(names), make([]*Field[T], len(names))
	for i, name := range names {
		f, err := s.column(name)
		if err != nil {
			return err
		}
		if j := slices.Index(s.columns[:i], f); f != nil && j >= 0 {
			return fmt.Errorf("%q and %q are the same column", names[j], name)
		}
		s.columns[i] = f
	}
	return nil
}

// column is the field that a column is named after; nil for one that is passed over.
func (s *Sheet[T]) column(name string) (*Field[T], error) {
	var known []string
	for i := range s.fields {
		if plainName(s.fields[i].name) == plainName(name) {
			return &s.fields[i], nil
		}
		known = append(known, s.fields[i].name)
	}
	if slices.ContainsFunc(s.shown, func(shown string) bool { return plainName(shown) == plainName(name) }) {
		return nil, nil
	}
	hint := cmp.Or(strings.TrimSpace(terminal.SuggestAs(plainName, name, known)), "there are "+strings.Join(known, ", "))
	if strings.ContainsAny(name, ";\t") {
		hint = "columns are separated by commas"
	}
	return nil, fmt.Errorf("unknown column %q; %s", name, hint)
}
