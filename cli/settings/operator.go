package settings

import (
	"cmp"
	"os"
	"os/user"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store/operatorlog"
)

// FlagReason is the flag of commands that say in the operator log why something is changed.
const FlagReason = "reason"

// ReasonFlag is --reason.
func ReasonFlag() cli.Flag {
	return &cli.StringFlag{Name: FlagReason, Usage: "why, for the operator log"}
}

// By is who runs the command, and why: the setting operator, else the user of this machine.
func By(cctx *cli.Context) operatorlog.By {
	by := operatorlog.By{Reason: cctx.String(FlagReason)}
	if v, err := Configured(cctx).Value(Named(FlagOperator)); err == nil {
		by.Operator = v.Text
	}
	if by.Operator == "" {
		by.Operator = userAtHost()
	}
	return by
}

func userAtHost() string {
	host, _ := os.Hostname()
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return cmp.Or(name, "unknown") + "@" + host
}
