package web

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/gobellhop/bellhop/access"
)

// Levels of notes.
const (
	levelProblem = "problem" // jobs are held up, or lost to view
	levelWarning = "warning" // worth a look
)

// note says that something is wrong, and what to do. There is none when all is well.
type note struct {
	Level  string   `json:"level"`
	Queue  string   `json:"queue,omitempty"` // the queue it is about; empty: the whole store
	Text   string   `json:"text"`
	Advice string   `json:"advice"`
	Link   string   `json:"-"` // a page that shows more: "/queues/mail"
	Resume bool     `json:"-"` // resuming the queue is what to do
	of     []string // the queues that it is about if they are several; it is for those who see one of them
}

// When what is normal becomes worth a note.
const (
	oldAfter    = time.Minute      // the oldest ready job waits
	overdueBy   = 10 * time.Second // a scheduled job is not made ready
	silentAfter = 30 * time.Second // a process has not beaten
	failingRate = 0.25             // the part of a queue's attempts that fail within five minutes,
	failingOf   = 20               // if there were so many at least
	maxNotes    = 12               // of one kind: a store that is down as a whole needs no thousand notes
)

// healthNotes looks for what is wrong in what is known already; it asks the store for nothing.
func healthNotes(shot *snapshot) []note {
	notes := processNotes(shot)
	for i := range shot.queues {
		if n, ok := queueNote(shot, &shot.queues[i]); ok {
			notes = append(notes, n)
		}
	}
	slices.SortStableFunc(notes, func(a, b note) int { return rank(a.Level) - rank(b.Level) })
	return notes
}

func rank(level string) int {
	if level == levelProblem {
		return 0
	}
	return 1
}

func processNotes(shot *snapshot) []note {
	var notes []note
	var waiting []string
	for _, q := range shot.queues {
		if q.Ready+q.Scheduled > 0 {
			waiting = append(waiting, q.Queue)
		}
	}
	if len(shot.Processes) == 0 {
		if len(waiting) > 0 {
			notes = append(notes, note{
				Level: levelProblem, of: waiting, Text: "There is no living process: nothing is run", Link: "/processes",
				Advice: "Start your program's worker, bellhop work or bellhop serve. If one should be alive, its log tells why it is not.",
			})
		}
		return notes
	}
	for _, p := range shot.Processes {
		if silent := shot.Now.Sub(p.BeatAt); silent > silentAfter {
			notes = append(notes, note{
				Level: levelWarning, Link: "/processes/" + p.ID.String(), of: p.Queues,
				Text:   fmt.Sprintf("Process %s has been silent for %s", p.Name, span(silent)),
				Advice: "If it stays so, others take its jobs back when its lease is over. Look whether its machine is overloaded, or frozen.",
			})
		}
	}
	return notes
}

// queueNote says what is the matter with a queue: the gravest thing only.
func queueNote(shot *snapshot, q *queueRow) (note, bool) {
	n := note{Queue: q.Queue, Link: "/queues/" + url.PathEscape(q.Queue)}
	overdue := time.Duration(0)
	if !q.NextDue.IsZero() {
		overdue = shot.Now.Sub(q.NextDue)
	}
	switch {
	case q.Hint != "" && !q.Paused && len(shot.Processes) > 0:
		n.Level, n.Text = levelProblem, fmt.Sprintf("Queue %s has %s but no worker", q.Queue, waitingJobs(q.Ready+q.Scheduled, q.More(max(q.Ready, q.Scheduled))))
		n.Advice = "Start a worker that works this queue, or add it to one: bellhop work --queue " + q.Queue + "=10."
	case q.Paused && q.Ready > 0:
		n.Level, n.Resume = levelWarning, true
		n.Text = fmt.Sprintf("Queue %s is paused, and %s", q.Queue, waits(q.Ready, q.More(q.Ready)))
		n.Advice = "Resume it once the reason for the pause is gone."
	case q.Ready > 0 && q.Oldest > oldAfter && q.Processes > 0:
		n.Level, n.Text = levelWarning, fmt.Sprintf("The oldest job of queue %s waits %s", q.Queue, span(q.Oldest))
		if q.Grows {
			n.Text += ", and grows"
		}
		n.Advice = "More slots, more processes, or shorter jobs. The queue's page tells how long jobs run."
		if q.Slots > 0 && q.Busy < q.Slots {
			n.Advice = "Slots are free: perhaps nobody works the kind of these jobs, or the queue's concurrency is set low."
		}
	case overdue > overdueBy && q.Processes > 0 && !q.Paused:
		n.Level, n.Text = levelProblem, fmt.Sprintf("A job of queue %s was due %s ago and is not ready yet", q.Queue, span(overdue))
		n.Advice = "Workers make due jobs ready: their logs tell what keeps them."
	case q.Rates.ErrorRate() > failingRate && q.Rates.Attempts >= failingOf:
		n.Level, n.Text = levelWarning, fmt.Sprintf("%s of the attempts on queue %s fail", percent(q.Rates.ErrorRate()), q.Queue)
		n.Advice = "The failures, grouped, tell of what, and since when. A pause keeps the queue's jobs from using up their attempts."
	default:
		return n, false
	}
	return n, true
}

func waitingJobs(n int, more bool) string {
	if more {
		return capped(n, true) + " jobs waiting"
	}
	return plural(n, "job") + " waiting"
}

func waits(n int, more bool) string {
	if n == 1 && !more {
		return "1 job waits"
	}
	return capped(n, more) + " jobs wait"
}

// notesFor returns the notes that a viewer may see, with what is wrong with the look itself first. Of the queues' notes of one level
// there are a few only, and one that says how many more there are.
func (shot *snapshot) notesFor(v *access.Viewer) []note {
	var notes []note
	if shot.err != nil {
		notes = append(notes, note{
			Level: levelProblem, Text: "The store has not answered for " + span(time.Since(shot.since)),
			Advice: "What is shown is as old as that. See to the store; this page goes on by itself.",
		})
	}
	count, left := map[string]int{}, 0
	for _, n := range shot.notes {
		if n.Queue != "" && !v.Sees(n.Queue) || len(n.of) > 0 && !slices.ContainsFunc(n.of, v.Sees) {
			continue
		}
		if n.Queue != "" {
			if count[n.Level]++; count[n.Level] > maxNotes {
				left++
				continue
			}
		}
		notes = append(notes, n)
	}
	if left > 0 {
		notes = append(notes, note{
			Level: levelWarning, Text: plural(left, "more queue") + " have something to say", Link: "/queues?show=trouble",
			Advice: "The list of queues tells them all.",
		})
	}
	return notes
}
