package grants

import (
	"fmt"
	"slices"
)

// Undecided are the tables without a decision, and the decisions without a table.
func Undecided(tables []string) (problems []string) {
	for _, table := range tables {
		if _, ok := decisions[table]; !ok {
			problems = append(problems, fmt.Sprintf("store/grants: decide what the roles may do in the table %s", table))
		}
	}
	for table := range decisions {
		if !slices.Contains(tables, table) {
			problems = append(problems, fmt.Sprintf("store/grants: there is no table %s", table))
		}
	}
	return problems
}
