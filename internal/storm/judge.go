//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// snapshots reads jobs with their history.
func (w *weather) snapshots(ctx context.Context, ids []bellhop.ID) (map[bellhop.ID]bellhop.Snapshot, error) {
	found := make(map[bellhop.ID]bellhop.Snapshot, len(ids))
	for bite := range slices.Chunk(ids, 500) {
		list, err := w.client.Store().Get(ctx, bite)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			found[s.ID] = s
		}
	}
	return found, nil
}

// revive does what a person would: it runs again what is dead because its
// process was killed three times under it, though it never killed one.
func (w *weather) revive(ctx context.Context) (revived map[bellhop.ID]int, err error) {
	found, err := w.snapshots(ctx, w.producer.ids())
	if err != nil {
		return nil, err
	}
	revived = map[bellhop.ID]int{}
	for id, s := range found {
		if s.Place.State != bellhop.StateDead || s.Place.Crashes < bellhop.MaxCrashes {
			continue
		}
		revived[id] = s.Place.Crashes
		if _, err := w.client.Act(ctx, bellhop.ActRetry, "killed by the storm", id); err != nil {
			return nil, err
		}
	}
	return revived, w.settle(ctx)
}

// verdict is what the judge has found.
type verdict struct {
	ended    map[bellhop.State]int
	runs     int
	extra    int // runs after one that a kill, a freeze or an outage has ended
	outed    int // of these, runs that only an outage explains
	cut      int // of these, runs whose effect had taken place before
	late     int // runs of frozen processes that came to their end after their claim was gone
	refused  int // outcomes that were refused as stale
	gaps     []time.Duration
	problems []string
}

func (v *verdict) wrong(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

// judge compares the ledger, the store, and the list of kills.
func (w *weather) judge(ctx context.Context, blew time.Duration, revived map[bellhop.ID]int) error {
	runs, err := readLedger(w.ledger)
	if err != nil {
		return err
	}
	found, err := w.snapshots(ctx, w.producer.ids())
	if err != nil {
		return err
	}
	v := &verdict{ended: map[bellhop.State]int{}}
	for id, a := range w.producer.jobs {
		s, is := found[id]
		if !is {
			v.wrong("job %s was accepted and is lost", id)
			continue
		}
		v.ended[s.Place.State]++
		w.judgeJob(v, a, &s, runs[id])
	}
	for id := range runs {
		if _, is := w.producer.jobs[id]; !is {
			v.wrong("job %s ran and was never accepted", id)
		}
	}
	for id, crashes := range revived {
		if interrupted(w, runs[id]) < crashes {
			v.wrong("job %s was blamed for %d crashes and ran in fewer processes that were killed", id, crashes)
		}
	}
	w.judgePlaces(ctx, v)
	w.tell(v, blew, len(revived))
	if len(v.problems) > 0 {
		return fmt.Errorf("%d things are wrong, the first: %s", len(v.problems), v.problems[0])
	}
	return nil
}

// judgeJob looks at one job: its end, its runs, and what the store has believed.
func (w *weather) judgeJob(v *verdict, a accepted, s *bellhop.Snapshot, runs []*run) {
	if s.Place.State != a.want {
		v.wrong("job %s is %s, want %s: %s", s.ID, s.Place.State, a.want, s.Place.Reason)
	}
	v.runs += len(runs)
	if len(runs) == 0 {
		v.wrong("job %s is %s and never ran", s.ID, s.Place.State)
		return
	}
	for i, r := range runs {
		if r.stale {
			v.refused++
		}
		if i == len(runs)-1 {
			break
		}
		if r.how == lineFail {
			continue // the next is what was asked for
		}
		v.extra++
		at, struck := w.struck(r)
		if !struck {
			if at, struck = w.outed(r); !struck {
				v.wrong("job %s ran again after claim %d (%c), and nothing had happened to process %d", s.ID, r.claim, max(r.how, '-'), r.pid)
				continue
			}
			v.outed++
		}
		if r.how == lineDone {
			v.cut++
			if r.end.After(runs[i+1].start) {
				v.late++
			}
		}
		if again := runs[i+1].attempt > r.attempt; again && (r.how == 0 || !r.end.Before(at)) { // else a person ran it again
			v.gaps = append(v.gaps, max(runs[i+1].start.Sub(at), 0))
		}
	}
	w.judgeHistory(v, s, runs)
}

// judgeHistory sees that each claim has one record, and that the one which
// ended the job is of its last run.
func (w *weather) judgeHistory(v *verdict, s *bellhop.Snapshot, runs []*run) {
	seen := map[int64]bool{}
	for _, h := range s.History {
		if seen[h.Claim] {
			v.wrong("job %s has two records of claim %d", s.ID, h.Claim)
		}
		seen[h.Claim] = true
		if h.Outcome.To().Final() && h.Generation == s.Place.Generation && h.Claim != s.Place.Claim {
			v.wrong("job %s ended under claim %d, and was claimed as %d", s.ID, h.Claim, s.Place.Claim)
		}
	}
	last := runs[len(runs)-1]
	if last.how != lineDone || last.claim != s.Place.Claim {
		v.wrong("job %s is %s under claim %d, and its last run was claim %d (%c)", s.ID, s.Place.State, s.Place.Claim, last.claim, max(last.how, '-'))
	}
	if want := fmt.Sprint(last.claim); s.Place.State == bellhop.StateSucceeded && string(s.Place.Result) != want {
		v.wrong("job %s has the result of claim %s, want %s", s.ID, s.Place.Result, want)
	}
}

// thawing is how soon after a freeze a run may still begin that was about to: as soon as the process has its turn on a busy machine.
const thawing = time.Second

// struck reports whether the run's process was killed or frozen after the run
// began, and when.
func (w *weather) struck(r *run) (at time.Time, is bool) {
	for _, b := range w.blows {
		until := b.until // until it was dead, or went on
		if b.frozen {
			until = until.Add(thawing)
		}
		if b.pid == r.pid && until.After(r.start) {
			return b.at, true
		}
	}
	return at, false
}

// interrupted counts runs whose process was killed or frozen, or whose store was away.
func interrupted(w *weather, runs []*run) (n int) {
	for _, r := range runs {
		_, struck := w.struck(r)
		if _, outed := w.outed(r); struck || outed {
			n++
		}
	}
	return n
}

// judgePlaces sees that each job is in one place, and nothing runs any more.
func (w *weather) judgePlaces(ctx context.Context, v *verdict) {
	seen := map[bellhop.ID]int{}
	q := bellhop.Query{Limit: 1000, WithoutArgs: true}
	for {
		page, err := w.client.Store().List(ctx, &q)
		if err != nil {
			v.wrong("list: %v", err)
			return
		}
		for _, s := range page.Jobs {
			seen[s.ID]++
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for id, n := range seen {
		if n > 1 {
			v.wrong("job %s is in %d places", id, n)
		}
	}
	if len(seen) != len(w.producer.jobs) {
		v.wrong("%d jobs are in the store, %d were accepted", len(seen), len(w.producer.jobs))
	}
	processes, err := w.client.Processes(ctx)
	if err != nil || len(processes) > 0 {
		v.wrong("%d processes are said to be alive after all have drained; %v", len(processes), err)
	}
	for _, b := range w.blows {
		if b.held > 0 && b.back > recoverWithin {
			v.wrong("the claims of process %d were taken back only after %v", b.pid, b.back)
		}
	}
}

// tell prints the summary.
func (w *weather) tell(v *verdict, blew time.Duration, revived int) {
	kills, freezes := 0, 0
	var killed, frozen []time.Duration
	for _, b := range w.blows {
		if b.frozen {
			freezes++
		} else {
			kills++
		}
		switch {
		case b.held == 0:
		case b.frozen:
			frozen = append(frozen, b.back)
		default:
			killed = append(killed, b.back)
		}
	}
	p := w.producer
	var out strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&out, "  %-22s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&out, "storm: %d kills and %d freezes in %v, %d processes\n", kills, freezes, blew.Round(time.Second), w.children.started)
	line("jobs accepted", "%d (%.0f a second; %d enqueues repeated, %d unique ones in the way of others)",
		len(p.jobs), float64(len(p.jobs))/blew.Seconds(), p.unsure, p.lost)
	line("ended", "%d succeeded, %d discarded, %d dead as they should", v.ended[bellhop.StateSucceeded], v.ended[bellhop.StateDiscarded], v.ended[bellhop.StateDead])
	line("runs", "%d, of these %d again after a kill or freeze (%d after the effect, %d beside it)", v.runs, v.extra, v.cut, v.late)
	if w.server != "" {
		line("outages", "%s, and %d runs again that only they explain", spread(w.absences()), v.outed)
	}
	line("stale, not believed", "%d", v.refused)
	line("killed three times", "%d, run again by hand", revived)
	line("taken back, killed", "%s", spread(killed))
	line("taken back, frozen", "%s (%d had to be stopped again, outside a transaction)", spread(frozen), w.dodge)
	line("running again", "%s", spread(v.gaps))
	for i, text := range v.problems {
		if i == 20 {
			line("WRONG", "… and %d more", len(v.problems)-i)
			break
		}
		line("WRONG", "%s", text)
	}
	if len(v.problems) == 0 {
		out.WriteString("storm: nothing lost, nothing in two places, nothing stale believed\n")
	}
	_, _ = fmt.Fprint(w.out, out.String())
}

// spread tells of durations how many, the median, and the greatest.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	return fmt.Sprintf("%d times, median %.2f s, at most %.2f s", len(list), list[len(list)/2].Seconds(), list[len(list)-1].Seconds())
}
