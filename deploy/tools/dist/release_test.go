package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/tools/tree"
)

const fakeProgram = "#!/bin/sh\necho composerp\n"

// packAgain packs a small program in a folder of its own, and gives the folder and the names of the files.
func packAgain(t *testing.T) (string, []string) {
	t.Helper()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, "build", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("amd64/composerp", fakeProgram)
	write("arm64/composerp", fakeProgram)
	for _, name := range []string{"composerp.1", "composerp.bash", "composerp.fish", "_composerp"} {
		write("share/"+name, "the text of "+name+"\n")
	}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := release{root: root, build: filepath.Join(dir, "build"), out: dir, version: "1.2.3+4.gabcdef01", made: made, arches: []string{"amd64", "arm64"}}
	names, err := r.pack()
	if err != nil {
		t.Fatal(err)
	}
	return dir, names
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPackTwiceMakesTheSameBytes(t *testing.T) {
	t.Parallel()
	first, names := packAgain(t)
	want := []string{
		"composerp-1.2.3+4.gabcdef01-linux-amd64.tar.gz", "composerp_1.2.3+4.gabcdef01-1_amd64.deb", "composerp-1.2.3+4.gabcdef01-1.x86_64.rpm",
		"composerp-1.2.3+4.gabcdef01-linux-arm64.tar.gz", "composerp_1.2.3+4.gabcdef01-1_arm64.deb", "composerp-1.2.3+4.gabcdef01-1.aarch64.rpm",
		"SHA256SUMS",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("want %q, got %q", want, names)
	}
	second, _ := packAgain(t)
	sums := string(read(t, first, checksums))
	for _, name := range names {
		text := read(t, first, name)
		if !bytes.Equal(text, read(t, second, name)) {
			t.Errorf("%s differs from one packing to the next", name)
		}
		if name != checksums && !strings.Contains(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), name)) {
			t.Errorf("the checksum of %s is not in\n%s", name, sums)
		}
	}
}

// TestDeb reads the deb as dpkg does: what it installs, with which modes, and which of it are configuration files.
func TestDeb(t *testing.T) {
	t.Parallel()
	dir, names := packAgain(t)
	members := ar(t, read(t, dir, names[1]))
	files := untar(t, members["data.tar.gz"])
	for path, want := range map[string]struct {
		mode int64
		text string // part of it
	}{
		"/usr/bin/composerp":                                  {0o755, fakeProgram},
		"/usr/lib/systemd/system/composerp.service":           {0o644, "ExecStart=/usr/bin/composerp up"},
		"/usr/lib/systemd/system/composerp-worker@.service":   {0o644, "ExecStart=/usr/bin/composerp worker run"},
		"/usr/share/doc/composerp/worker.env":                 {0o644, "WORKERS="},
		"/etc/composerp/composerp.env":                        {0o600, "COMPOSERP_DATABASE_URL="},
		"/usr/share/bash-completion/completions/composerp":    {0o644, "composerp.bash"},
		"/usr/share/zsh/vendor-completions/_composerp":        {0o644, "_composerp"},
		"/usr/share/fish/vendor_completions.d/composerp.fish": {0o644, "composerp.fish"},
		"/usr/share/doc/composerp/copyright":                  {0o644, "Apache-2.0"},
		"/usr/share/man/man1/composerp.1.gz":                  {0o644, ""},
		"/usr/share/doc/composerp/CHANGELOG.md.gz":            {0o644, ""},
	} {
		got, ok := files[path]
		if !ok || got.mode&0o777 != want.mode || got.owner != "root" || !strings.Contains(string(got.text), want.text) {
			t.Errorf("%s: want mode %o, root's, with %q; got %v, mode %o, %s's, %q", path, want.mode, want.text, ok, got.mode, got.owner, got.text)
		}
		delete(files, path)
	}
	for path, f := range files {
		if !f.folder {
			t.Errorf("%s is packed and not expected", path)
		}
	}
	if page := gunzip(t, untar(t, members["data.tar.gz"])["/usr/share/man/man1/composerp.1.gz"].text); string(page) != "the text of composerp.1\n" {
		t.Errorf("the manual page is %q", page)
	}
	control := untar(t, members["control.tar.gz"])
	if got := string(control["/conffiles"].text); strings.TrimSpace(got) != "/etc/composerp/composerp.env" {
		t.Errorf("want the settings as the one configuration file, got %q", got)
	}
	for _, field := range []string{"Version: 1.2.3+4.gabcdef01-1\n", "Architecture: amd64\n", "\n .\n PostgreSQL 15"} {
		if !strings.Contains(string(control["/control"].text), field) {
			t.Errorf("want %q in\n%s", field, control["/control"].text)
		}
	}
	for _, script := range []string{"/postinst", "/prerm", "/postrm"} {
		if control[script].mode&0o111 == 0 {
			t.Errorf("%s cannot be run: mode %o", script, control[script].mode)
		}
	}
}

// TestUnitNamesPackagedFiles holds the paths of the unit to those of the packages.
func TestUnitNamesPackagedFiles(t *testing.T) {
	t.Parallel()
	dir, names := packAgain(t)
	files := untar(t, ar(t, read(t, dir, names[1]))["data.tar.gz"])
	unit := string(files["/usr/lib/systemd/system/composerp.service"].text)
	found := regexp.MustCompile(`(?m)^(?:ExecStart|EnvironmentFile)=(\S+)`).FindAllStringSubmatch(unit, -1)
	if len(found) != 2 {
		t.Errorf("want a program and a file of settings, got %q", found)
	}
	for _, path := range found {
		if _, ok := files[path[1]]; !ok {
			t.Errorf("the unit names %s, which is not packed", path[1])
		}
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	dir, names := packAgain(t)
	files := untar(t, read(t, dir, names[0]))
	for path, mode := range map[string]int64{
		"composerp": 0o755, "LICENSE": 0o644, "README.md": 0o644, "composerp.1": 0o644, "completion/_composerp": 0o644, "systemd/composerp.env": 0o600,
		"systemd/composerp-worker@.service": 0o644, "systemd/worker.env": 0o644,
	} {
		if got, ok := files["/composerp-1.2.3+4.gabcdef01-linux-amd64/"+path]; !ok || got.mode != mode || len(got.text) == 0 {
			t.Errorf("%s: want mode %o and a text, got %v, mode %o and %d bytes", path, mode, ok, got.mode, len(got.text))
		}
	}
}

func TestAMissingProgram(t *testing.T) {
	t.Parallel()
	dir, _ := packAgain(t)
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	r := release{root: root, build: filepath.Join(dir, "build"), out: dir, version: "1", made: time.Unix(1, 0), arches: []string{"riscv64"}}
	if _, err := r.pack(); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("want an error that names riscv64, got %v", err)
	}
	if err := run([]string{"-version", "1"}); err == nil {
		t.Error("want an error without a time")
	}
}

// TestVersion makes a repository with commits and tags, and asks deploy/packaging/version.sh of each state.
func TestVersion(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "deploy", "packaging", "version.sh")
	for path, text := range map[string]string{
		script: string(read(t, root, "deploy/packaging/version.sh")),
		filepath.Join(dir, "docs", "CHANGELOG.md"): "# Changelog\n\n## [Unreleased]\n\n## [0.3.0] - 2026-01-01\n\n## [0.2.0] - 2025-01-01\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inDir := func(program string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_COMMITTER_DATE=2026-03-01T23:30:00-05:00")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", program, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	is := func(state, want string) {
		t.Helper()
		if got := inDir(script); got != strings.ReplaceAll(want, "HASH", strings.TrimSpace(inDir("sh", "-c", "git rev-parse --short=8 HEAD 2>/dev/null || true"))) {
			t.Errorf("%s: want %s, got %s", state, want, got)
		}
	}
	commit := func() { inDir("git", "commit", "-q", "--allow-empty", "-m", "x") }
	is("no repository", "0.3.0")
	inDir("git", "init", "-q")
	inDir("git", "add", ".")
	commit()
	is("no tag", "0.3.0+20260302.gHASH")
	inDir("git", "tag", "v0.4.0")
	is("a tag", "0.4.0")
	commit()
	commit()
	is("two commits after a tag", "0.4.0+2.gHASH")
	if err := os.WriteFile(filepath.Join(dir, "docs", "CHANGELOG.md"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	is("a changed file", "0.4.0+2.gHASH.dirty")
	inDir("git", "tag", "v1.0.0-rc.1")
	is("a changed file at a tag with hyphens", "1.0.0-rc.1+0.gHASH.dirty")
}

type unpacked struct {
	mode   int64
	owner  string
	folder bool
	text   []byte
}

// ar reads an archive of the kind that a deb is.
func ar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(archive, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("this is no ar archive")
	}
	members := map[string][]byte{}
	for len(rest) >= 60 {
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil {
			t.Fatal(err)
		}
		members[strings.TrimRight(string(rest[:16]), " /")] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return members
}

func gunzip(t *testing.T, zipped []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func untar(t *testing.T, zipped []byte) map[string]unpacked {
	t.Helper()
	files := map[string]unpacked{}
	r := tar.NewReader(bytes.NewReader(gunzip(t, zipped)))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := "/" + strings.Trim(strings.TrimPrefix(header.Name, "."), "/")
		files[name] = unpacked{header.Mode, header.Uname, header.Typeflag == tar.TypeDir, text}
	}
}
