package demo

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// Defaults of the seeded shop.
const (
	shopDays  = 70
	shopSpeed = 1 // days a second
)

// demoOptions are the demo's flags, read.
type demoOptions struct {
	scenario    demo.Scenario
	days        int
	until, from event.Date
	pace        time.Duration
	paceText    string
	wait        time.Duration
	exit, json  bool
}

func readDemoOptions(cctx *cli.Context) (o demoOptions, err error) {
	o = demoOptions{days: cctx.Int("days"), wait: cctx.Duration("wait"), exit: cctx.Bool("exit"), json: cctx.String(terminal.FlagOutput) == "json"}
	if o.days < 0 {
		return o, exit.Usage("--days %d: want 1 or more", o.days)
	}
	for name, into := range map[string]*event.Date{"until": &o.until, "measure-from": &o.from} {
		if text := cctx.String(name); text != "" {
			if *into, err = event.ParseDate(text); err != nil {
				return o, exit.Usage("--%s %q: want a day such as 2026-03-31", name, text)
			}
		}
	}
	speed := cctx.String("speed")
	if err := o.chooseScenario(cctx, &speed); err != nil {
		return o, err
	}
	return o, o.setPace(speed)
}

// chooseScenario takes the file where one is given, else the shop.
func (o *demoOptions) chooseScenario(cctx *cli.Context, speed *string) (err error) {
	file := cctx.String("sales")
	if file != "" {
		return o.chooseFile(cctx, file)
	}
	for _, name := range []string{"map", "policy"} {
		if cctx.IsSet(name) {
			return exit.Usage("--%s goes with --sales FILE", name)
		}
	}
	if o.days == 0 && o.until == "" {
		o.days = shopDays
	}
	*speed = cmp.Or(*speed, strconv.Itoa(shopSpeed))
	o.scenario, err = demo.NewShop(cctx.Uint64("seed"))
	return err
}

// fileSlots allows more parallel calls to suppliers: a wholesaler orders hundreds of
// items a day, and a file's days run unpaced.
const fileSlots = "procurement=4,notification=4,alert=2"

func (o *demoOptions) chooseFile(cctx *cli.Context, file string) error {
	if cctx.IsSet("seed") {
		return exit.Usage("--seed is the shop's; a file's days are as they are")
	}
	policy := cctx.String("policy")
	if policy != masterdata.RuleAuto && policy != masterdata.RuleFixed {
		return exit.Usage("--policy %q: want auto or fixed", policy)
	}
	mapping, err := events.LoadMapping(cctx, file)
	if err != nil {
		return err
	}
	if cctx.String(settings.FlagSlots) == "" {
		if err := cctx.Set(settings.FlagSlots, fileSlots); err != nil {
			return err
		}
	}
	terminal.Say(cctx, "looking through %s ...", file)
	o.scenario, err = demo.NewFile(cctx.Context, file, mapping, policy)
	return err
}

// setPace reads --speed, days a second.
func (o *demoOptions) setPace(speed string) error {
	if speed == "" || speed == "max" {
		o.paceText = "as fast as it goes"
		return nil
	}
	perSecond, err := strconv.ParseFloat(speed, 64)
	if err != nil || !(perSecond > 0) || math.IsInf(perSecond, 0) {
		return exit.Usage("--speed %q: want days a second, such as 1 or 0.5, or max", speed)
	}
	o.pace, o.paceText = time.Duration(float64(time.Second)/perSecond), speed+" days a second"
	if perSecond == 1 {
		o.paceText = "a day a second"
	}
	return nil
}
