package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// What the play asks of the shop, at scale 1.
const (
	formTime     = 10 * time.Second // each form of the checkout takes orders so long,
	formOrders   = 2000             // or so many of them, whichever comes first
	signupTime   = 4 * time.Second
	signupOrders = 200

	outageThink = 800 * time.Millisecond // a customer's pause between two orders
	outageAfter = 3 * time.Second        // all is well so long, then the payment service is down,
	outageFor   = 6 * time.Second        // for so long,
	outageTime  = 12 * time.Second       // and customers come for so long in all

	settleTime = time.Minute // at any scale: how long a backlog may take
)

// play is one run of the demo: what is shown, and what must be true at the end.
type play struct {
	*stage
	*Printer
	scale float64

	expect Expect
	jobs   int      // that must have succeeded
	faults []string // what was not as it must be
	last   string   // the id of an order to look at
}

// run shows everything up to the verdict. It fails when it could not be shown; what was shown and wrong is in faults.
func (p *play) run(ctx context.Context) error {
	p.Opening(p.world, fmt.Sprintf("%s, %d web workers", p.client.Store().Capabilities().Name, WebWorkers))
	p.Line("")
	p.linef("  %s %s", p.dim("watch its jobs at"), p.bold(p.api+"/"))
	for _, chapter := range []func(context.Context) error{p.checkout, p.signup, p.customer, p.outage, p.anyLanguage, p.count} {
		if err := chapter(ctx); err != nil {
			p.Line("") // ends a live line
			return err
		}
	}
	if err := p.wrong(); err != nil {
		p.Verdict(false, strings.ToUpper(p.faults[0][:1])+p.faults[0][1:]+".")
		return nil
	}
	p.Verdict(true, "Every order was charged once. Nothing was lost, nothing was done twice.")
	return nil
}

// fault notes something that is not as it must be.
func (p *play) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// wrong returns what is not as it must be, as one error.
func (p *play) wrong() error {
	if len(p.faults) == 0 {
		return nil
	}
	return errors.New("demo: " + strings.Join(p.faults, "; "))
}

// accepted adds what a load ended with to what must be true: accepted orders want everything once, the others at most once.
func (p *play) accepted(action string, form Form, r Result) {
	if action == ActionSignup {
		p.expect.Signups = append(p.expect.Signups, r.IDs()...)
		p.jobs += r.Accepted * len(form.Later(EffectMail, EffectSubscribe, EffectChat, EffectTrack))
	} else {
		p.expect.Orders = append(p.expect.Orders, r.IDs()...)
		p.jobs += r.Accepted * len(form.Later(AllEffects()...))
	}
	p.expect.Uncertain = append(p.expect.Uncertain, r.FailedIDs()...)
}

// drive sends a load to a form with nothing between two orders but the answer, and then waits until the jobs are done, so that
// the next form begins on an idle machine.
func (p *play) drive(ctx context.Context, action string, form Form, duration time.Duration, orders int) (FormResult, error) {
	r, err := Drive(ctx, Load{
		URL: p.site + "/" + form.Name, Action: action, Duration: p.scaled(duration), Orders: orders,
		Progress: func(at Progress) { p.Progress(form.Title, at) },
	})
	if err != nil {
		return FormResult{}, err
	}
	p.accepted(action, form, r)
	if r.Failed > 0 {
		p.fault("%d requests failed although all was well (%s, %s)", r.Failed, action, form.Title)
	}
	waited, err := p.settle(ctx, form.Title)
	if err != nil {
		return FormResult{}, err
	}
	text := fmt.Sprintf("%s in %s", plural(r.Accepted, "request"), seconds(r.Elapsed))
	if len(form.Handed) > 0 {
		text += p.dim(", jobs " + seconds(waited) + " later")
	}
	if r.Failed > 0 {
		p.Failed(form.Title, text+p.red(", "+count(r.Failed)+" failed"))
	} else {
		p.Done(form.Title, text)
	}
	return FormResult{form, r}, nil
}

// settle waits until the outside world has done everything that was accepted, and returns how long it took.
func (p *play) settle(ctx context.Context, label string) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	p.Status(label, "the jobs are being done …")
	if _, err := p.world.Settle(ctx, p.expect); err != nil {
		return 0, err
	}
	waited := time.Since(began)
	return waited, p.idle(ctx)
}

// checkout measures the four forms.
func (p *play) checkout(ctx context.Context) error {
	p.Chapter("1  The checkout, four ways")
	p.Note(fmt.Sprintf("%d customers order without a pause, each as soon as the last order is answered: for %s or %s orders, whichever "+
		"comes first. Then the jobs are worked off before the next form begins.", WebWorkers, seconds(p.scaled(formTime)), count(formOrders)))
	p.Line("")
	var results []FormResult
	for _, form := range Forms() {
		r, err := p.drive(ctx, ActionCheckout, form, formTime, formOrders)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	p.Forms(results)
	return nil
}

// signup measures the signup inline and with jobs. It has no charge, so it is the easier decision.
func (p *play) signup(ctx context.Context) error {
	p.Chapter("2  The signup, which charges nothing")
	all := Forms()
	inline, jobs := all[0], all[2]
	jobs.Title, jobs.Note = "all four as jobs", "the customer sees no difference but the time"
	var results []FormResult
	for _, form := range []Form{inline, jobs} {
		r, err := p.drive(ctx, ActionSignup, form, signupTime, signupOrders)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	p.Table("signup", "signups", results)
	return nil
}

// customer shows one order as a browser sees it.
func (p *play) customer(ctx context.Context) error {
	p.Chapter("3  One order in a browser, with the charge as a job")
	p.Status("the order page", "waiting for it to change by itself …")
	pages, err := Follow(ctx, p.site+"/charge")
	if err != nil {
		return err
	}
	p.Followed(pages)
	last := pages[len(pages)-1]
	if pages[0].Status != 202 || last.State != Paid {
		p.fault("the order page began with %d and ended as %s", pages[0].Status, last.State)
	}
	p.last = last.ID
	p.expect.Orders = append(p.expect.Orders, last.ID)
	p.jobs += len(AllEffects())
	return nil
}

// outage takes the payment service down, once for the inline form and once for the one that hands off the charge.
func (p *play) outage(ctx context.Context) error {
	p.Chapter("4  The payment service goes down")
	p.Note(fmt.Sprintf("Customers keep coming for %s. After %s, nobody answers at the payment service for %s.",
		seconds(p.scaled(outageTime)), seconds(p.scaled(outageAfter)), seconds(p.scaled(outageFor))))
	p.Line("")
	forms := Forms()
	inline, jobs := forms[0], forms[3]
	var reports []OutageReport
	inline.Title, jobs.Title = "inline", "with jobs"
	for _, form := range []Form{inline, jobs} {
		r, err := RunOutage(ctx, p.world.Payment, Outage{
			Load: Load{
				URL: p.site + "/" + form.Name, Duration: p.scaled(outageTime), Think: p.scaled(outageThink),
				Progress: func(at Progress) { p.Progress(form.Title, at) },
			},
			After: p.scaled(outageAfter), For: p.scaled(outageFor), Settle: settleTime,
			Waiting: func(missing int) { p.Status(form.Title, plural(missing, "order")+" not charged yet") },
		})
		if err != nil {
			return err
		}
		p.accepted(ActionCheckout, form, r.Load)
		if _, err := p.settle(ctx, form.Title); err != nil {
			return err
		}
		p.Driven(form.Title, r.Load)
		reports = append(reports, OutageReport{form.Title, r})
	}
	p.Outages(reports)
	if r := reports[1].Result; !r.OK() {
		p.fault("with jobs, %d customers saw an error, %d of %d orders were charged, %d charged twice", r.Load.Failed, r.Done, r.Load.Accepted, r.Twice)
	}
	return nil
}

// count compares what the shop accepted with what the outside world and the store counted.
func (p *play) count(ctx context.Context) error {
	p.Chapter("6  Everything since the start, counted at the outside world")
	checks := p.world.Check(p.expect)
	p.Checks(checks)
	for _, c := range checks {
		if !c.OK() {
			p.fault("%s: %d expected, %d counted, %d twice, %d unasked", checkLabels[c.Effect], c.Expected, c.Counted, c.Twice, c.Unknown)
		}
	}
	mine := bellhop.Filter{Kinds: kinds(), EnqueuedAfter: p.began}
	all, err := p.client.Count(ctx, mine, math.MaxInt)
	if err != nil {
		return err
	}
	mine.States = bellhop.States(bellhop.StateSucceeded)
	succeeded, err := p.client.Count(ctx, mine, math.MaxInt)
	if err != nil {
		return err
	}
	p.Line("")
	ok := all == p.jobs && succeeded == p.jobs
	p.linef("  %s %s", p.mark(ok), fmt.Sprintf("Bellhop: %s enqueued, %s succeeded, %s expected", plural(all, "job"), count(succeeded), count(p.jobs)))
	if !ok {
		p.fault("of %d jobs, %d were enqueued and %d succeeded", p.jobs, all, succeeded)
	}
	return nil
}

// lookAround says where to look, and waits for the end of ctx.
func (p *play) lookAround(ctx context.Context) {
	p.Chapter("Look around")
	p.Places(p.placesToSee())
	p.Line("")
	p.Note("Take a service down in the outside world, buy something in the shop, and watch its jobs wait and come back. Ctrl-C ends the demo.")
	<-ctx.Done()
	p.Line("")
}

// placesToSee lists addresses and commands.
func (p *play) placesToSee() []Place {
	return []Place{
		{"shop, charge as a job", p.site + "/charge/"},
		{"shop, everything inline", p.site + "/inline/"},
		{"an order", p.site + "/charge/orders/" + p.last},
		{"outside world, switches", p.site + "/world/"},
		{"the dashboard", p.api + "/"},
		{"jobs, by the API", p.api + "/v1/jobs?limit=3"},
		{"the API described", p.api + "/v1/openapi.json"},
		{"newest jobs", "bellhop jobs list --store " + p.address},
		{"queues", "bellhop queues list --store " + p.address},
	}
}
