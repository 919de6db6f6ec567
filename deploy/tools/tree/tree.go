// Package tree reads the files of a repository for the checks of this module.
package tree

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File is one file of the repository.
type File struct {
	Path string // relative to the root, with slashes
	Text []byte
}

// Read gives the files under root that keep accepts, in the order of their paths. It does not enter bin/, testdata that
// keep refuses, or folders whose name begins with a dot, but for .ci/ and .github/.
func Read(root string, keep func(path string) bool) ([]File, error) {
	var files []File
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(name):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !keep(name):
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		files = append(files, File{Path: name, Text: text})
		return nil
	})
	return files, err
}

func skipped(folder string) bool {
	name := path.Base(folder)
	hidden := strings.HasPrefix(name, ".") && name != "."
	return folder == "bin" || name == "node_modules" || hidden && name != ".ci" && name != ".github"
}

// Find gives the root of the repository that the working directory lies in: the nearest folder upwards that has a
// .golangci.yml.
func Find() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, ".golangci.yml")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", &fs.PathError{Op: "find", Path: ".golangci.yml", Err: fs.ErrNotExist}
		}
		folder = parent
	}
}
