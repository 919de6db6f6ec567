package local

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Space is the room on the disk that holds a server's data.
type Space struct {
	Path        string
	Free, Total uint64 // bytes
}

// Spaces looks at the disks of the data that Start has made in dir, one for each disk; none where there is no data.
func Spaces(dir string) ([]Space, error) {
	dir = cmp.Or(dir, defaultDir)
	var spaces []Space
	seen := map[uint64]bool{}
	for _, name := range []string{"postgres", "rabbitmq"} {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the data of a server: %w", err)
		}
		var place syscall.Stat_t
		space, err := spaceOf(path)
		if err := errors.Join(syscall.Stat(path, &place), err); err != nil {
			return nil, err
		}
		if !seen[uint64(place.Dev)] {
			seen[uint64(place.Dev)] = true
			spaces = append(spaces, space)
		}
	}
	return spaces, nil
}

func spaceOf(path string) (Space, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(path, &disk); err != nil {
		return Space{}, fmt.Errorf("looking for free space in %s: %w", path, err)
	}
	return Space{Path: path, Free: uint64(disk.Bavail) * uint64(disk.Bsize), Total: uint64(disk.Blocks) * uint64(disk.Bsize)}, nil
}
