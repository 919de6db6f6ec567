package terminal

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

// Limit reads --limit, at most so many rows; 0: all.
func Limit(cctx *cli.Context) (int, error) {
	limit := cctx.Int("limit")
	if limit < 0 {
		return 0, exit.Usage("--limit %d: want 0 or more", limit)
	}
	return limit, nil
}

// Limited reads rows up to the limit, and says so when there are more. What they are is a format: "the newest %d".
func Limited[T any](cctx *cli.Context, limit int, what string, read func(most int) ([]T, error)) ([]T, error) {
	most := limit
	if limit > 0 {
		most++ // to know whether there are more
	}
	rows, err := read(most)
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
		Say(cctx, "these are "+what+"; --limit 0 shows all", limit)
	}
	return rows, err
}
