// Package access has the commands that make users for the parts of the fleet: secrets and db.
package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

const flagAdd = "add"

// SecretsCommand is the command `secrets`.
func SecretsCommand() *cli.Command {
	return &cli.Command{
		Name:  "secrets",
		Usage: "a user and a password for each part of the fleet",
		Subcommands: []*cli.Command{{
			Name: "create", Usage: "write a file with a URL of each server for each part of the fleet", ArgsUsage: "FILE",
			Description: "FILE gets new passwords and the mode 0600; it must not exist. The URLs are those of --database-url, --amqp-url and\n" +
				"--management-url with other users; the database's own user stays that of migrations. No server is asked. Then:\n\n" +
				"  composerp secrets apply --secrets FILE ...       makes the users, by administrators' URLs\n" +
				"  COMPOSERP_SECRETS=FILE composerp migrate up      gives the roles of PostgreSQL their privileges\n" +
				"  COMPOSERP_SECRETS=FILE composerp up\n\n" +
				"With --add an existing FILE keeps what it has and gets the lines that it lacks, such as a new worker's; their URLs lead to\n" +
				"where the others lead. A file that is missing is made.",
			Flags: settings.BrokerFlags(settings.FlagOf(settings.FlagDatabase),
				&cli.BoolFlag{Name: flagAdd, Usage: "add to an existing file what it lacks"}),
			Action: create,
		}, applyCommand()},
	}
}

func create(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("`%s` takes the name of a file", cctx.Command.HelpName)
	}
	at, err := settings.ForAll(cctx)
	if err != nil {
		return err
	}
	path, named := cctx.Args().First(), secrets.Servers{Database: at.Database, AMQP: at.AMQP, Management: at.Management}
	if cctx.Bool(flagAdd) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return add(cctx, named, path)
		}
	}
	if at.Database == "" && at.AMQP == "" {
		return exit.Misconfigured("no server is named: give --%s, --%s and --%s, for the parts of the fleet to be other users there",
			settings.FlagDatabase, settings.FlagAMQP, settings.FlagManagement)
	}
	subs := workers.Subscriptions()
	urls := secrets.Make(named, subs, secrets.Random)
	if err := write(path, urls.Text(subs)); err != nil {
		return exit.Misconfigured("writing %s: %v", path, exit.Reason(err))
	}
	terminal.Say(cctx, "%s has %d URLs; the users do not exist yet: `%s --help` says how to make them", path, len(urls), cctx.Command.HelpName)
	return nil
}

func write(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("it exists; --add adds what it lacks; or name another, or delete it: its passwords are lost then")
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// replace writes a file with the URLs of the keys that were added at its end, in place of the one that is there.
func replace(path string, urls secrets.URLs, added []string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	for _, key := range added {
		text = append(text, key+"="+urls[key]+"\n"...)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".secrets-*") // with the mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err := errors.Join(err, file.Chmod(info.Mode().Perm()), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// DatabaseCommand is the command `db`.
func DatabaseCommand() *cli.Command {
	return &cli.Command{
		Name:  "db",
		Usage: "the roles of the fleet in PostgreSQL",
		Subcommands: []*cli.Command{
			{
				Name: "roles", Usage: "print the SQL that makes them, for an administrator",
				Description: "Makes the roles composerp_worker, _relay, _operator, _reader and _gateway where they are missing, and sets their passwords to\n" +
					"those of the file of --secrets. It may be run again. Their privileges on the tables follow by `composerp migrate up`,\n" +
					"which gives them as the owner, after each migration.",
				Flags:  []cli.Flag{settings.FlagOf(settings.FlagSecrets)},
				Action: printRoles,
			},
			{
				Name: "grants", Usage: "print the SQL that gives them their privileges",
				Description: "`composerp migrate up` runs the same. To read it, or for a database whose owner is not who migrates.",
				Action:      printGrants,
			},
		},
	}
}

func printRoles(cctx *cli.Context) error {
	urls, err := settings.Secrets(cctx)
	if err != nil {
		return err
	}
	passwords := urls.Passwords()
	if len(passwords) == 0 {
		terminal.Say(cctx, "the roles get no passwords: give --%s FILE (`composerp secrets create` writes one)", settings.FlagSecrets)
	}
	script, err := grants.Script(passwords)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cctx.App.Writer, script)
	return err
}

func printGrants(cctx *cli.Context) error {
	_, err := fmt.Fprint(cctx.App.Writer, strings.TrimPrefix(grants.Privileges(grants.Roles...), "\n"))
	return err
}
