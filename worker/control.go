package worker

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// controlEvery is how often what is held is looked over.
	controlEvery = 500 * time.Millisecond
	// staleBuffer is how long a claim may wait for a slot before it is given
	// back: with controlEvery and one exchange it is less than a second, so that
	// a job that is due can start elsewhere in time.
	staleBuffer = 300 * time.Millisecond
	// progressEvery is how often progress is written.
	progressEvery = time.Second
	// deafAfter is how long a handler may go on after its context was cancelled
	// before a line is written about it.
	deafAfter = 10 * time.Second
)

// controlRound writes the progress of running attempts, gives back what has
// waited for a slot for too long, and reports handlers that do not listen.
func (w *Worker) controlRound(ctx context.Context) time.Duration {
	now := time.Now()
	writing := now.Sub(w.progressed) >= progressEvery
	w.mu.Lock()
	var reports []bellhop.Report
	var deaf []*attempt
	for _, a := range w.held.attempts {
		run := a.run.Load()
		if run == nil {
			continue
		}
		if writing {
			if p := run.TakeProgress(); p != nil {
				reports = append(reports, bellhop.Report{Token: a.claim.Token, Progress: p})
			}
		}
		if !a.warned && a.deaf(now) {
			a.warned = true
			deaf = append(deaf, a)
		}
	}
	handedBack := false
	for _, q := range w.held.order {
		if w.handBack(q, "no slot was free in time", func(a *attempt) bool {
			return a.claim.Place.Suspect || now.Sub(a.taken) < staleBuffer
		}) {
			handedBack, q.rate = true, 0 // what was reckoned no longer holds
		}
	}
	w.mu.Unlock()

	for _, a := range deaf {
		w.log.Warn("a handler does not listen to its context: it keeps its slot until it returns",
			bellhop.AttrJob, a.claim.Token.JobID.String(), bellhop.AttrKind, a.claim.Job.Kind)
	}
	if handedBack {
		w.wakeExchange()
	}
	if len(reports) > 0 {
		w.progressed = now
		w.writeProgress(ctx, reports)
	}
	return controlEvery
}

// deaf reports whether the attempt's context ended long ago.
func (a *attempt) deaf(now time.Time) bool {
	end := a.ctx.overSince(now)
	return !end.IsZero() && now.Sub(end) > deafAfter
}

// writeProgress sends reports; progress that cannot be written is not worth a second try.
func (w *Worker) writeProgress(ctx context.Context, reports []bellhop.Report) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	refused, err := w.store.Report(ctx, reports)
	if err != nil {
		w.trouble.note(ctx, w.log, bellhop.OpReport, err)
		return
	}
	w.trouble.over(bellhop.OpReport)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range refused {
		t := reports[r.Index].Token
		if a := w.held.attempts[t.JobID]; a != nil && a.claim.Token == t && !a.completed() {
			a.ctx.stop(bellhop.ErrLeaseLost, time.Now())
		}
	}
}
