package events

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/seal"
)

const (
	flagReceipts   = "receipts"
	flagPublicKey  = "public-key"
	flagSigningKey = "signing-key"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "find events of the log that were edited, removed or inserted afterwards",
		Description: "Reads the whole log, and holds each event against the chain of seals that the fleet makes of it every 15 seconds. Who\n" +
			"may write every table can make the chain anew: only a receipt that an audit has signed finds that, so give the\n" +
			"directory of the receipts and the public key (composerp audit --receipts). It changes nothing, and may run beside the\n" +
			"fleet. Exits 0 when the log is as it was, 2 with findings.",
		Flags: settings.DatabaseFlags(
			&cli.PathFlag{Name: flagReceipts, Usage: "hold the chain against the receipts of this `DIRECTORY`"},
			&cli.PathFlag{Name: flagPublicKey, Usage: "the public key of the receipts, a `FILE`"},
			archive.Flag(),
		),
		Action: settings.OnSchema("events", 1, receiptsAsked, verify),
	}
}

func signingKeyCommand() *cli.Command {
	return &cli.Command{
		Name: "signing-key", Usage: "make the pair of keys that receipts of audits are signed with", ArgsUsage: "FILE",
		Description: "FILE is the private key, for its owner alone; FILE.pub is the public one, for `composerp events verify`. Keep the\n" +
			"private key where audits run, not on the database's server; keep the public key and the receipts elsewhere too.",
		Action: func(cctx *cli.Context) error {
			if cctx.NArg() != 1 {
				return exit.Usage("name the file of the private key: composerp events signing-key FILE")
			}
			path := cctx.Args().First()
			if err := seal.CreateKey(path); err != nil {
				return err
			}
			terminal.Say(cctx, "made %s and %s%s; sign with it: composerp audit --%s DIRECTORY --%s %s", path, path, seal.PublicSuffix, flagReceipts, flagSigningKey, terminal.ShellWord(path))
			return nil
		},
	}
}

// receipts are those that are given; none where no directory is.
type receipts struct {
	given  bool
	key    ed25519.PublicKey
	signed []seal.Receipt
	others []seal.Finding
}

func receiptsAsked(cctx *cli.Context) (r receipts, err error) {
	dir, path := cctx.Path(flagReceipts), cctx.Path(flagPublicKey)
	switch {
	case dir == "" && path == "":
		return r, nil
	case dir == "" || path == "":
		return r, exit.Usage("give both --%s DIRECTORY and --%s FILE, or neither", flagReceipts, flagPublicKey)
	}
	if r.key, err = seal.ReadPublicKey(path); err != nil {
		return r, exit.Misconfigured("--%s: %w", flagPublicKey, err)
	}
	r.given = true
	if r.signed, r.others, err = seal.ReadReceipts(dir, r.key); err != nil {
		return r, exit.Misconfigured("--%s: %w", flagReceipts, err)
	}
	return r, nil
}

// verified is what `events verify` shows.
type verified struct {
	seal.Report
	Verdict string `json:"verdict"` // "verified" or "findings"
}

func verify(cctx *cli.Context, db *store.DB, given receipts) error {
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	report, err := seal.Verify(cctx.Context, db, given.signed, given.key, folder, progress.Reading)
	progress.End()
	if err != nil {
		return err
	}
	report.Findings = append(given.others, report.Findings...)
	report.Found += len(given.others)
	shown := verified{report, "verified"}
	if report.Found > 0 {
		shown.Verdict = "findings"
	}
	if err := terminal.Show(cctx, shown, func(w io.Writer) { showVerified(w, shown, given) }); err != nil {
		return err
	}
	if report.Found > 0 {
		return exit.Findings("the log is not as it was")
	}
	return nil
}

func showVerified(w io.Writer, v verified, given receipts) {
	for _, line := range [][2]string{
		{"sealed", wording.Sprintf("%d events in %d seals, up to position %s%s", v.Events, v.Seals, strconv.FormatInt(v.LastSeq, 10), terminal.Or(v.SealedAt, "", on))},
		{"not sealed yet", wording.Sprintf("%d newer events", v.Unsealed)},
		{"receipts", signedBy(v, given)},
	} {
		terminal.Row(w, line[0], line[1])
	}
	if v.Erased > 0 {
		terminal.Row(w, "erased", erasedBy(v, given))
	}
	if v.Archived > 0 {
		terminal.Row(w, "not verified", wording.Sprintf("%d events that are in archives (--archives DIRECTORY reads them)", v.Archived))
	}
	if v.Found == 0 && v.Archived > 0 {
		terminal.Row(w, "VERIFIED: every sealed event that the database has is as it was", "")
		return
	}
	if v.Found == 0 {
		terminal.Row(w, "VERIFIED: every sealed event is as it was", "")
		return
	}
	terminal.Row(w, wording.Sprintf("FINDINGS: %d", v.Found), "")
	fmt.Fprintln(w)
	header := []any{"FINDING", "POSITION", "EVENT", "TYPE", "SEAL", "WHAT"}
	terminal.Table(w, v.Findings, header, func(f *seal.Finding) []any {
		return []any{f.Kind, placeOr(f.Seq), terminal.Or(f.EventID, "-", uuid.UUID.String), cmp.Or(f.Type, "-"), placeOr(f.Seal), f.What}
	})
	if more := v.Found - len(v.Findings); more > 0 {
		fmt.Fprintln(w, wording.Sprintf("and %d more", more))
	}
}

func on(at time.Time) string { return ", the newest of " + terminal.Moment(at) }

func signedBy(v verified, given receipts) string {
	switch {
	case !given.given:
		return "none given: a chain that was made anew would not be found (--receipts)"
	case v.SignedAt == nil:
		return "none that holds"
	}
	return wording.Sprintf("%d, the newest of %s for %d events", v.Receipts, terminal.Moment(*v.SignedAt), v.Signed)
}

// erasedBy says whose erasures there are.
func erasedBy(v verified, given receipts) string {
	vouched := "not held against a key: --public-key finds a forged one"
	if given.given {
		vouched = "held against the key"
	}
	newest := slices.MaxFunc(v.Erasures, func(a, b erasure.Erasure) int { return a.ErasedAt.Compare(b.ErasedAt) })
	return wording.Sprintf("%s, the newest of %s by %s: %s (%s)", wording.Count(v.Erased, "event"), terminal.Moment(newest.ErasedAt), newest.Operator, wording.OneLine(newest.Reason), vouched)
}

func placeOr(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// signing is what an audit signs its receipt with; a nil key signs none.
type signing struct {
	dir string
	key ed25519.PrivateKey
}

func signingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: flagReceipts, Usage: "when everything holds, seal the log and leave a signed receipt in this `DIRECTORY`"},
		&cli.PathFlag{Name: flagSigningKey, Usage: "the key to sign it with, a `FILE` made by: composerp events signing-key FILE"},
	}
}

func signingAsked(cctx *cli.Context) (s signing, err error) {
	path := cctx.Path(flagSigningKey)
	s.dir = cctx.Path(flagReceipts)
	switch {
	case s.dir == "" && path == "":
		return s, nil
	case s.dir == "" || path == "":
		return s, exit.Usage("give both --%s DIRECTORY and --%s FILE, or neither", flagReceipts, flagSigningKey)
	}
	if s.key, err = seal.ReadPrivateKey(path); err != nil {
		return s, exit.Misconfigured("--%s: %w", flagSigningKey, err)
	}
	return s, nil
}

// sign leaves the receipt of an audit that was proven.
func (s signing) sign(cctx *cli.Context, db *store.DB, result string) error {
	receipt, err := seal.Prepare(cctx.Context, db, result, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	if receipt, err = receipt.Sign(s.key); err != nil {
		return err
	}
	path, err := receipt.Write(s.dir)
	if err != nil {
		return err
	}
	terminal.Say(cctx, "signed seal %d of the log, up to position %s: %s", receipt.ID, strconv.FormatInt(receipt.LastSeq, 10), path)
	return nil
}
