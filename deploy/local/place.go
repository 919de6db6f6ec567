package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

// home is a server's own directory and the account that owns it. The path is plain: a link stands for one that is not.
type home struct {
	path    string
	account account
}

// usable says why servers cannot be started on the data there, before a start waits for them.
func (h home) usable(st state) error {
	if h.path == "" {
		return nil
	}
	entries, err := os.ReadDir(h.path)
	if err != nil {
		return fmt.Errorf("looking for the data of a server: %w", err)
	}
	if len(entries) > 0 && st.Password == "" {
		return fmt.Errorf("%s has data whose passwords, in %s, are gone: put that file back or remove the data", h.path, stateFile)
	}
	return wantSpace(h.path)
}

func makeDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("making %s: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", fmt.Errorf("making the servers' directory: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("making the servers' directory: %w", err)
	}
	return resolved, nil
}

// place makes a server's directory below cfg.Dir, or finds the one made earlier, and gives it a plain path.
func place(cfg Config, name string, as account) (home, error) {
	at, err := settle(cfg, name, as)
	if err != nil {
		return home{}, err
	}
	at.path, err = plainPath(cfg.Dir, name, at)
	return at, err
}

// plain matches the paths that every program takes. RabbitMQ's disk monitor puts its path into a shell's command, where
// quotes, dollars and semicolons act, and RabbitMQ 3.10 cannot start below letters that are not ASCII.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._@+-]+$`)

// plainPath is the path of a home, or a link to it where the path is not plain. The link is set anew at each start, by
// the owner of the lock on dir. Following a link renews the time by which temporary directories are cleared.
func plainPath(dir, name string, at home) (string, error) {
	if plain.MatchString(at.path) {
		return at.path, nil
	}
	base, err := outside(dir, at.account)
	if err != nil {
		return "", fmt.Errorf("linking to %s: %w", at.path, err)
	}
	link := filepath.Join(base, name+linkSuffix)
	if target, err := os.Readlink(link); err == nil && target == at.path {
		return link, nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("linking to %s: %w", at.path, err)
	}
	if err := os.Symlink(at.path, link); err != nil {
		return "", fmt.Errorf("linking to %s: %w", at.path, err)
	}
	return link, nil
}

// linkSuffix tells a link to a server's directory from such a directory.
const linkSuffix = ".link"

// settle makes a server's directory, or finds it. Where the server's account cannot enter cfg.Dir, the directory lies
// in one of the system's temporary directories and a symbolic link stands in its place.
func settle(cfg Config, name string, as account) (home, error) {
	inside := filepath.Join(cfg.Dir, name)
	path, err := filepath.EvalSymlinks(inside)
	switch {
	case err == nil:
		return existing(path, as)
	case !errors.Is(err, os.ErrNotExist):
		return home{}, fmt.Errorf("looking for %s: %w", inside, err)
	}
	os.Remove(inside) // A link whose target is gone: the temporary directory was cleared.
	path = inside
	if as.other && !as.canEnter(cfg.Dir) {
		if path, err = elsewhere(cfg, name, as); err != nil {
			return home{}, err
		}
		cfg.Log.Info("keeping the data elsewhere, for the server's user cannot enter the directory", "user", as.name, "link", inside, "data", path)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return home{}, fmt.Errorf("making the directory of a server: %w", err)
	}
	if err := as.give(path); err != nil {
		return home{}, err
	}
	if path != inside {
		if err := os.Symlink(path, inside); err != nil {
			return home{}, fmt.Errorf("linking to the data: %w", err)
		}
	}
	return home{path: path, account: as}, nil
}

// LeastFree is how many bytes must be free for a server to start. RabbitMQ blocks all publishers below its
// disk_free_limit, which looks like a fleet that hangs.
const LeastFree = 400 << 20

func wantSpace(path string) error {
	space, err := spaceOf(path)
	if err == nil && space.Free < LeastFree {
		return fmt.Errorf("the disk of %s is full: %d MB are free, and the servers need %d MB to start", path, space.Free>>20, LeastFree>>20)
	}
	return err
}

func existing(path string, as account) (home, error) {
	info, err := os.Stat(path)
	if err != nil {
		return home{}, fmt.Errorf("looking for the data of a server: %w", err)
	}
	owner := ownerOf(info, as)
	if owner.other && os.Geteuid() != 0 {
		return home{}, fmt.Errorf("%s belongs to %s: run as that user or as root, or choose another directory", path, owner.name)
	}
	if !owner.other && os.Geteuid() == 0 {
		return home{}, fmt.Errorf("%s belongs to root, as whom no server is run: remove it or choose another directory", path)
	}
	if owner.other && !owner.canEnter(path) {
		return home{}, fmt.Errorf("%s cannot be entered by %s: open its parent directories (chmod o+x) or choose another directory", path, owner.name)
	}
	return home{path: path, account: owner}, nil
}

// elsewhere returns where a server's directory lies outside cfg.Dir. What an earlier life of cfg.Dir left there was
// thrown away with the link to it, and is removed.
func elsewhere(cfg Config, name string, as account) (string, error) {
	base, err := outside(cfg.Dir, as)
	if err != nil {
		return "", fmt.Errorf("%s cannot enter %s, and %w", as.name, cfg.Dir, err)
	}
	path := filepath.Join(base, name)
	if err := os.RemoveAll(path); err != nil {
		return "", fmt.Errorf("removing old data: %w", err)
	}
	return path, nil
}

// outside makes a directory outside dir that stands for it, or finds it. It is ours, plain, and can be entered.
func outside(dir string, as account) (string, error) {
	for _, base := range outsideBases(dir) {
		if err := os.Mkdir(base, 0o711); err != nil && !errors.Is(err, os.ErrExist) || !plain.MatchString(base) {
			continue
		}
		// The name can be guessed and the parent is shared: only a real directory of our own will do.
		info, err := os.Lstat(base)
		if err == nil && info.IsDir() && info.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid()) && as.canEnter(base) {
			return base, nil
		}
	}
	return "", errors.New("no temporary directory will do: choose a directory whose path is of letters, digits and /._@+- and that others may enter")
}

// outsideBases are named after the directory they stand in for. /var/tmp comes first because it survives a restart of
// the machine.
func outsideBases(dir string) []string {
	sum := sha256.Sum256([]byte(dir))
	name := "composerp-" + hex.EncodeToString(sum[:8])
	return slices.Compact([]string{filepath.Join("/var/tmp", name), filepath.Join(os.TempDir(), name)})
}

// removeData deletes everything Start made in dir except the lock, which the caller holds.
func removeData(ctx context.Context, cfg Config, dir string) error {
	cfg.Dir = dir
	var failed []error
	for _, name := range []string{"postgres", "rabbitmq"} {
		inside := filepath.Join(dir, name)
		path, err := filepath.EvalSymlinks(inside)
		if err == nil {
			at, err := plainPath(dir, name, home{path: path})
			if err == nil {
				err = stopLeftoverIn(ctx, cfg, name, at)
			}
			if err != nil {
				return err
			}
			failed = append(failed, os.RemoveAll(path))
		}
		failed = append(failed, os.RemoveAll(inside))
	}
	for _, name := range []string{"postgres.log", "postgres.log.1", "rabbitmq.log", "rabbitmq.log.1", "epmd.log", stateFile} {
		failed = append(failed, os.RemoveAll(filepath.Join(dir, name)))
	}
	removeOutside(dir)
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("removing the servers' data in %s: %w", dir, err)
	}
	return nil
}

// removeOutside deletes what stands for dir outside it, unless there is still data.
func removeOutside(dir string) {
	for _, base := range outsideBases(dir) {
		links, _ := filepath.Glob(filepath.Join(base, "*"+linkSuffix))
		for _, link := range links {
			os.Remove(link)
		}
		os.Remove(base) // Only goes when it is empty, and is not there at all in most cases.
	}
}

func stopLeftoverIn(ctx context.Context, cfg Config, name, path string) error {
	at := home{path: path}
	if name == "postgres" {
		return (&postgres{instance: instance{cfg: cfg, home: at}}).stopLeftover(ctx)
	}
	return (&broker{instance: instance{cfg: cfg, home: at}}).stopLeftover(ctx)
}
