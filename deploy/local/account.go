package local

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user a server runs as. The zero value is the user we are ourselves.
type account struct {
	name     string
	uid, gid int
	other    bool // another user than we are
}

// accountFor is the first of the named users that exists when we are root, else ourselves. PostgreSQL refuses to run as
// root, and RabbitMQ should not.
func accountFor(names ...string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if uidErr == nil && gidErr == nil {
			return account{name: name, uid: uid, gid: gid, other: true}, nil
		}
	}
	return account{}, fmt.Errorf("looking for an unprivileged user to run a server as: none of %v exists", names)
}

// ownerOf is the account that owns an existing data directory: the user that made the data keeps it, whichever user
// runs this process.
func ownerOf(info os.FileInfo, fallback account) account {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return fallback
	}
	return account{name: "uid " + strconv.Itoa(int(stat.Uid)), uid: int(stat.Uid), gid: int(stat.Gid), other: true}
}

func (a account) credential() *syscall.Credential {
	if !a.other {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// canEnter finds out by trying: permission bits alone would miss access lists and mount options. The child changes its
// user first and its directory second.
func (a account) canEnter(dir string) bool {
	probe := exec.Command("/bin/sh", "-c", ":")
	probe.Dir = dir
	probe.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	return probe.Run() == nil
}

// give makes the account the owner of path.
func (a account) give(path string) error {
	if !a.other {
		return nil
	}
	if err := os.Chown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("giving %s to %s: %w", path, a.name, err)
	}
	return nil
}
