package terminal

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// CanAsk tells whether a person at a terminal can be asked.
func CanAsk(cctx *cli.Context) bool {
	in, ok := cctx.App.Reader.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// Confirm asks a question of yes or no on a terminal; no is the default. Where there is no terminal it is true: a
// command in a script does what it was told.
func Confirm(cctx *cli.Context, question string) bool {
	if !CanAsk(cctx) {
		return true
	}
	in := cctx.App.Reader
	fmt.Fprintf(cctx.App.ErrWriter, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
