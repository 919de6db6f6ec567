package cli

import (
	"io"
	"runtime"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Flags: []cli.Flag{terminal.OutputFlag()},
		Action: func(cctx *cli.Context) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{cctx.App.Version, runtime.Version()}
			return terminal.Show(cctx, v, func(w io.Writer) { terminal.Row(w, "composerp", v.Version, v.Go) })
		},
	}
}
