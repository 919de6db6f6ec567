package archive

import (
	"context"
	"path/filepath"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/seal"
)

// Checked is a noted archive, and what is wrong with its file.
type Checked struct {
	archive.Archive
	OK bool `json:"ok"`
	// Problems are the first of them, a sentence each.
	Problems []string `json:"problems"`
}

// Check reads the file of each noted archive, and holds it against its note and the seals. progress, unless nil, is
// called with how many archives of how many are checked.
func Check(ctx context.Context, db *store.DB, dir string, progress func(done, of int64)) ([]Checked, error) {
	archives, err := archive.List(ctx, db)
	if err != nil {
		return nil, err
	}
	checked := make([]Checked, len(archives))
	for i, a := range archives {
		checked[i] = Checked{Archive: a, Problems: []string{}}
		c := &checked[i]
		if err := c.check(ctx, db, dir); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			c.Problems = append(c.Problems, err.Error())
		}
		c.OK = len(c.Problems) == 0
		if progress != nil {
			progress(int64(i+1), int64(len(archives)))
		}
	}
	return checked, nil
}

func (c *Checked) check(ctx context.Context, db *store.DB, dir string) error {
	f, err := c.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	covered, err := seal.Cover(ctx, db, f, c.Low, c.High)
	if err != nil {
		return err
	}
	for _, f := range covered.Findings {
		c.Problems = append(c.Problems, string(f.Kind)+": "+f.What)
	}
	if covered.Events != c.Events {
		c.Problems = append(c.Problems, "the seals cover another number of events than the file has")
	}
	return nil
}
