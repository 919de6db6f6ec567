package cli

import (
	"io"
	"runtime"

	"github.com/urfave/cli/v2"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Flags: []cli.Flag{outputFlag()},
		Action: func(cctx *cli.Context) error {
			if err := noArguments(cctx); err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{version(), runtime.Version()}
			return show(cctx, v, func(w io.Writer) { row(w, "composerp", v.Version, v.Go) })
		},
	}
}
