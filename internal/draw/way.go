package draw

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// stay is how a job was in a state, over all its stays there.
type stay struct {
	visited bool
	total   time.Duration // in all stays that are over
	known   bool          // total says something
	since   time.Time     // of the present stay; zero if it is not there now
}

// journey is what a job's place and history tell about its way.
type journey struct {
	job     *bellhop.Snapshot
	now     time.Time
	stays   map[bellhop.State]*stay
	end     bellhop.State // the final state that is drawn: the present one or, of a job that lives, one it might come to
	retries int           // attempts that failed and led to another
	snoozes int
	backs   int // attempts that led back to ready: handed back, or their process died
	before  int // attempts that are no longer in the history
	top     float64
}

// follow finds the way of the present generation of a job.
func follow(j *bellhop.Snapshot, now time.Time) *journey {
	way := &journey{job: j, now: now, end: bellhop.StateSucceeded, stays: map[bellhop.State]*stay{}}
	for s := bellhop.StateScheduled; s <= bellhop.StateDead; s++ {
		way.stays[s] = &stay{}
	}
	from := j.EnqueuedAt // when it came to where it waited
	if j.Place.Generation > 0 {
		from = time.Time{} // the moment at which it was run again is told by nothing but its turn
	}
	for i := range j.History {
		a := &j.History[i]
		if a.Generation != j.Place.Generation {
			continue
		}
		way.attempt(a, from)
		from = a.Ended
		if from.IsZero() {
			from = a.ClaimedAt
		}
	}
	way.present(from)
	return way
}

// attempt adds one attempt, before which the job waited since from.
func (w *journey) attempt(a *bellhop.Attempt, from time.Time) {
	w.wait(a.Due, from)
	ready, running := w.stays[bellhop.StateReady], w.stays[bellhop.StateRunning]
	ready.add(a.ClaimedAt.Sub(a.Due))
	running.visited = true
	if !a.Started.IsZero() {
		running.add(a.Ended.Sub(a.Started))
	}
	switch a.Outcome {
	case bellhop.OutcomeRetry:
		w.retries++
	case bellhop.OutcomeSnooze:
		w.snoozes++
	case bellhop.OutcomeHandedBack, bellhop.OutcomeSwept:
		w.backs++
	}
}

// wait adds the time that the job was scheduled, if it was due later than it came.
func (w *journey) wait(due, from time.Time) {
	if !from.IsZero() && due.Sub(from) > time.Millisecond {
		w.stays[bellhop.StateScheduled].add(due.Sub(from))
	}
}

// present adds where the job is now.
func (w *journey) present(from time.Time) {
	p := &w.job.Place
	now := w.stays[p.State]
	now.visited = true
	switch {
	case p.State == bellhop.StateScheduled, p.State == bellhop.StateBlocked:
		now.since = from
	case p.State == bellhop.StateReady:
		w.wait(p.Due, from)
		now.since = p.Due
	case p.State == bellhop.StateRunning:
		w.wait(p.Due, from)
		w.stays[bellhop.StateReady].add(p.ClaimedAt.Sub(p.Due))
		now.since = p.ClaimedAt
	case p.State.Final():
		w.end, now.since = p.State, p.FinishedAt
	}
	if seen := w.stays[bellhop.StateRunning]; p.Attempt > 0 && !seen.visited { // its history was cut, or told elsewhere
		seen.visited, w.stays[bellhop.StateReady].visited = true, true
	}
	shown := w.retries + w.snoozes + w.backs
	w.before = max(p.Attempt-shown-1, 0)
	if len(w.job.History) < bellhop.KeptAttempts {
		w.before = 0
	}
}

func (s *stay) add(d time.Duration) {
	s.visited, s.known = true, true
	s.total += max(d, 0)
}

// node is one state in the drawing.
type node struct {
	state bellhop.State
	x     float64
	stay  *stay
	here  bool
}

// The sizes of the drawing.
const (
	wayNode   = 104.0 // width of a state
	wayHeight = 40.0  // height of a state
	wayGap    = 30.0  // between states
	wayArcs   = 54.0  // room for the arcs above, if there are any
	wayBare   = 8.0   // above the states, if not
	wayTexts  = 28.0  // room for a line below the states
)

// Way draws a job's way through its states: those that it has been in, how long, how often it went back, and where it is now.
// The states stand in their order: scheduled (or blocked), ready, running, and an end. Times are of the present generation.
func Way(j *bellhop.Snapshot, now time.Time) template.HTML {
	w := follow(j, now)
	first := bellhop.StateScheduled
	if j.Place.State == bellhop.StateBlocked {
		first = bellhop.StateBlocked
	}
	var nodes []node
	for _, state := range []bellhop.State{first, bellhop.StateReady, bellhop.StateRunning, w.end} {
		nodes = append(nodes, node{state: state, x: 8 + float64(len(nodes))*(wayNode+wayGap), stay: w.stays[state], here: state == j.Place.State})
	}
	w.top = wayBare
	if w.retries+w.snoozes+w.backs > 0 {
		w.top = wayArcs
	}
	height := w.top + wayHeight + wayTexts
	for _, n := range nodes {
		if _, second := n.captions(now); second != "" {
			height = w.top + wayHeight + wayTexts + 17
		}
	}
	var s svg
	s.begin("way", nodes[3].x+wayNode+8, height, "The job's way through its states", w.describe())
	for i := range nodes[:3] {
		w.arrow(&s, nodes[i], nodes[i+1])
	}
	w.arcs(&s, nodes)
	for _, n := range nodes {
		w.draw(&s, n)
	}
	return s.end()
}

// arrow draws the step from one state to the next, as gone or not.
func (w *journey) arrow(s *svg, from, to node) {
	class := "way-step"
	if from.stay.visited && to.stay.visited {
		class += " way-gone"
	}
	x, y := from.x+wayNode, w.top+wayHeight/2
	s.add(`<path class="%s" d="M%s %s H%s m-6 -5 l6 5 -6 5"></path>`, class, num(x+3), num(y), num(to.x-4))
}

// arcs draws the ways back above the states.
func (w *journey) arcs(s *svg, nodes []node) {
	arc := func(from, to node, top float64, label string) {
		a, b := from.x+wayNode/2, to.x+wayNode/2
		s.add(`<path class="way-step way-gone" d="M%s %s V%s Q%s %s %s %s H%s Q%s %s %s %s V%s m-5 -6 l5 6 5 -6"></path>`,
			num(a), num(w.top-4), num(top+10), num(a), num(top), num(a-10), num(top), num(b+10), num(b), num(top), num(b), num(top+10), num(w.top-5))
		s.text((a+b)/2, top-5, "way-label", "middle", label)
	}
	var again []string
	if w.retries > 0 {
		again = append(again, times(w.retries, "retry", "retries"))
	}
	if w.snoozes > 0 {
		again = append(again, times(w.snoozes, "snooze", "snoozes"))
	}
	if len(again) > 0 {
		arc(nodes[2], nodes[0], 17, strings.Join(again, ", "))
	}
	if w.backs > 0 {
		from, to := nodes[2], nodes[1]
		if len(again) > 0 { // below the other arc
			from.x, to.x = from.x-18, to.x+18
			arc(from, to, 40, fmt.Sprintf("%d×", w.backs))
			return
		}
		arc(from, to, 30, times(w.backs, "handed back", "handed back"))
	}
}

// times counts a noun.
func times(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// draw draws one state.
func (w *journey) draw(s *svg, n node) {
	class := "way-node way-" + n.state.String()
	switch {
	case n.here:
		class += " way-here"
	case !n.stay.visited:
		class += " way-ahead"
	}
	s.add(`<g class="%s"><rect x="%s" y="%s" width="%s" height="%s" rx="8"></rect>`, class, num(n.x), num(w.top), num(wayNode), num(wayHeight))
	s.text(n.x+wayNode/2, w.top+wayHeight/2+5, "way-name", "middle", n.state.String())
	s.add(`</g>`)
	first, second := n.captions(w.now)
	s.text(n.x+wayNode/2, w.top+wayHeight+18, "way-time", "middle", first)
	if second != "" {
		s.text(n.x+wayNode/2, w.top+wayHeight+35, "way-time way-more", "middle", second)
	}
}

// captions are the lines below a state: how long the job was there, and since when it is.
func (n node) captions(now time.Time) (first, second string) {
	if n.stay.known {
		first = Span(n.stay.total)
		if n.stay.total < time.Microsecond {
			first = "no time"
		}
	}
	if !n.here {
		return first, ""
	}
	since := "now"
	if !n.stay.since.IsZero() {
		if n.state.Final() {
			since = Span(now.Sub(n.stay.since)) + " ago"
		} else {
			since = "for " + Span(now.Sub(n.stay.since))
		}
	}
	if first == "" {
		return since, ""
	}
	return since, "before: " + first
}

// describe tells the way in words.
func (w *journey) describe() string {
	var parts []string
	for s := bellhop.StateScheduled; s <= bellhop.StateRunning; s++ {
		if stay := w.stays[s]; stay.visited && stay.known {
			parts = append(parts, fmt.Sprintf("%s for %s in all", s, Span(stay.total)))
		}
	}
	if w.retries > 0 {
		parts = append(parts, times(w.retries, "retry", "retries"))
	}
	if w.snoozes > 0 {
		parts = append(parts, times(w.snoozes, "snooze", "snoozes"))
	}
	if w.backs > 0 {
		parts = append(parts, times(w.backs, "return to the queue", "returns to the queue"))
	}
	if w.before > 0 {
		parts = append(parts, times(w.before, "earlier attempt that is no longer kept", "earlier attempts that are no longer kept"))
	}
	parts = append(parts, "now "+w.job.Place.State.String())
	return strings.Join(parts, "; ") + "."
}
