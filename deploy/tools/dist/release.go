package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself
)

// checksums is the file that `sha256sum --check` reads.
const checksums = "SHA256SUMS"

// release is what one run packs.
type release struct {
	root    string // of the repository
	build   string // holds ARCH/composerp and share/
	out     string
	version string
	made    time.Time
	arches  []string
}

// pack writes everything and gives the names of the files below out.
func (r release) pack() ([]string, error) {
	if err := r.compress(); err != nil {
		return nil, err
	}
	var names []string
	for _, arch := range r.arches {
		archive, err := r.archive(arch)
		if err != nil {
			return names, fmt.Errorf("packing the archive for %s: %w", arch, err)
		}
		names = append(names, archive)
		for _, format := range []string{"deb", "rpm"} {
			name, err := r.packageOf(format, arch)
			if err != nil {
				return names, fmt.Errorf("packing the %s for %s: %w", format, arch, err)
			}
			names = append(names, name)
		}
	}
	if err := r.sum(names); err != nil {
		return names, err
	}
	return append(names, checksums), nil
}

func (r release) share(name string) string { return filepath.Join(r.build, "share", name) }

// compress writes the manual page and the changelog as packages want them.
func (r release) compress() error {
	for from, to := range map[string]string{
		r.share("composerp.1"):                        r.share("composerp.1.gz"),
		filepath.Join(r.root, "docs", "CHANGELOG.md"): r.share("changelog.gz"),
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		var zipped bytes.Buffer
		w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(to, zipped.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packed is a file of the archive.
type packed struct {
	from, as string
	mode     int64
}

func (r release) archived(arch string) []packed {
	return []packed{
		{filepath.Join(r.build, arch, "composerp"), "composerp", 0o755},
		{filepath.Join(r.root, "LICENSE"), "LICENSE", 0o644},
		{filepath.Join(r.root, "README.md"), "README.md", 0o644},
		{filepath.Join(r.root, "docs", "CHANGELOG.md"), "CHANGELOG.md", 0o644},
		{r.share("composerp.1"), "composerp.1", 0o644},
		{r.share("composerp.bash"), "completion/composerp.bash", 0o644},
		{r.share("composerp.fish"), "completion/composerp.fish", 0o644},
		{r.share("_composerp"), "completion/_composerp", 0o644},
		{filepath.Join(r.root, "deploy", "systemd", "composerp.service"), "systemd/composerp.service", 0o644},
		{filepath.Join(r.root, "deploy", "systemd", "composerp-worker@.service"), "systemd/composerp-worker@.service", 0o644},
		{filepath.Join(r.root, "deploy", "systemd", "worker.env"), "systemd/worker.env", 0o644},
		{filepath.Join(r.root, "deploy", "systemd", "composerp.env"), "systemd/composerp.env", 0o600},
	}
}

// archive writes a .tar.gz with one folder in it.
func (r release) archive(arch string) (name string, err error) {
	folder := fmt.Sprintf("composerp-%s-linux-%s", r.version, arch)
	name = folder + ".tar.gz"
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	for _, p := range r.archived(arch) {
		text, err := os.ReadFile(p.from)
		if err != nil {
			return name, err
		}
		header := &tar.Header{Name: folder + "/" + p.as, Mode: p.mode, Size: int64(len(text)), ModTime: r.made, Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return name, err
		}
		if _, err := w.Write(text); err != nil {
			return name, err
		}
	}
	if err := w.Close(); err != nil {
		return name, err
	}
	if err := zipped.Close(); err != nil {
		return name, err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), out.Bytes(), 0o644)
}

// packageOf writes a deb or an rpm, as deploy/packaging/nfpm.yaml describes it.
func (r release) packageOf(format, arch string) (name string, err error) {
	text, err := os.ReadFile(filepath.Join(r.root, "deploy", "packaging", "nfpm.yaml"))
	if err != nil {
		return "", err
	}
	values := map[string]string{
		"ARCH": arch, "VERSION": r.version, "ROOT": r.root, "SHARE": filepath.Join(r.build, "share"), "PROGRAM": filepath.Join(r.build, arch, "composerp"),
	}
	var unknown []string
	filled := os.Expand(string(text), func(name string) string {
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("nfpm.yaml has ${%s}, which nothing fills in", strings.Join(unknown, "} and ${"))
	}
	config, err := nfpm.Parse(strings.NewReader(filled))
	if err != nil {
		return "", err
	}
	info, err := config.Get(format)
	if err != nil {
		return "", err
	}
	info.MTime = r.made
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	name = packager.ConventionalFileName(info)
	var out bytes.Buffer
	if err := packager.Package(info, &out); err != nil {
		return name, err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), out.Bytes(), 0o644)
}

// sum writes the checksums of files, in the order of their names.
func (r release) sum(names []string) error {
	var lines strings.Builder
	for _, name := range slices.Sorted(slices.Values(names)) {
		file, err := os.Open(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", hash.Sum(nil), name)
	}
	return os.WriteFile(filepath.Join(r.out, checksums), []byte(lines.String()), 0o644)
}
