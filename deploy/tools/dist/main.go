// Command dist packs what `make dist` has built: an archive, a deb and an rpm for each architecture, and their
// checksums.
//
//	dist -version 1.2.3 -time 1767225600 -arch amd64,arm64
//
// It finds the programs as bin/dist/build/ARCH/composerp, and what they say of themselves (manual page, completion) in
// bin/dist/build/share. The same input makes the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/composerp/composerp/deploy/tools/tree"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	root, err := tree.Find()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	version := flags.String("version", "", "the version, as in 1.2.3")
	seconds := flags.Int64("time", 0, "when the commit was made, in seconds since 1970: the time of every packed file")
	arches := flags.String("arch", "amd64,arm64", "the architectures, as Go names them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *version == "" || *seconds == 0 {
		return fmt.Errorf("want -version and -time, got %q and %d", *version, *seconds)
	}
	r := release{
		root: root, build: filepath.Join(root, "bin", "dist", "build"), out: filepath.Join(root, "bin", "dist"),
		version: *version, made: time.Unix(*seconds, 0).UTC(), arches: strings.Split(*arches, ","),
	}
	files, err := r.pack()
	for _, file := range files {
		fmt.Println(filepath.Join("bin", "dist", file))
	}
	return err
}
