package extension

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/composerp/composerp/store"
)

// registered are the schemas that this program's modules have, in the order of registration.
var registered struct {
	sync.Mutex
	schemas []schema
}

type schema struct {
	name  string
	files fs.FS
}

// Register makes `composerp up` and `composerp migrate up` bring the schema of that name up to the files: see Migrate.
// A module calls it from an init function or at the start of main. It panics when the name is registered already.
func Register(name string, files fs.FS) {
	registered.Lock()
	defer registered.Unlock()
	if slices.ContainsFunc(registered.schemas, func(s schema) bool { return s.name == name }) {
		panic(fmt.Errorf("extension: the schema %s is registered already", name))
	}
	registered.schemas = append(registered.schemas, schema{name, files})
}

// MigrateRegistered brings every registered schema up to its files, after the store's own schema, and returns the
// number of files that were applied.
func MigrateRegistered(ctx context.Context, db *store.DB) (applied int, err error) {
	registered.Lock()
	schemas := slices.Clone(registered.schemas)
	registered.Unlock()
	for _, s := range schemas {
		n, err := Migrate(ctx, db, s.name, s.files)
		applied += n
		if err != nil {
			return applied, err
		}
	}
	return applied, nil
}
