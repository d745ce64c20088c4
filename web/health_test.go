package web

import (
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/look"
)

// healthy is a snapshot of a queue that is well.
func healthy() (*snapshot, *queueRow) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	shot := &snapshot{Queues: &look.Queues{Now: now, Processes: []bellhop.ProcessStatus{{Process: bellhop.Process{Name: "w", Queues: []string{"mail"}, Slots: 5}, BeatAt: now}}}}
	shot.queues = []queueRow{{
		QueueStats: bellhop.QueueStats{Queue: "mail", Ready: 3, Running: 2, NextDue: now.Add(time.Minute)}, Processes: 1, Slots: 5, Busy: 5,
		Rates: &queueRates{Attempts: 100, Failed: 2},
	}}
	return shot, &shot.queues[0]
}

func TestNotesComeOnlyWhenSomethingIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*snapshot, *queueRow)
		level  string
		text   string
	}{
		"all is well":              {func(*snapshot, *queueRow) {}, "", ""},
		"few attempts that failed": {func(_ *snapshot, q *queueRow) { q.Rates = &queueRates{Attempts: 3, Failed: 3} }, "", ""},
		"paused without jobs":      {func(_ *snapshot, q *queueRow) { q.Paused, q.Ready = true, 0 }, "", ""},
		"no process":               {func(s *snapshot, _ *queueRow) { s.Processes = nil }, levelProblem, "no living process"},
		"no process, no jobs":      {func(s *snapshot, q *queueRow) { s.Processes, q.Ready, q.Scheduled = nil, 0, 0 }, "", ""},
		"nobody works the queue":   {func(_ *snapshot, q *queueRow) { q.Hint, q.Processes = "nobody", 0 }, levelProblem, "mail has 3 jobs waiting but no worker"},
		"paused":                   {func(_ *snapshot, q *queueRow) { q.Paused = true }, levelWarning, "paused, and 3 jobs wait"},
		"old":                      {func(_ *snapshot, q *queueRow) { q.Oldest = 4 * time.Minute }, levelWarning, "waits 4 min"},
		"old, and grows":           {func(_ *snapshot, q *queueRow) { q.Oldest, q.Grows = 4*time.Minute, true }, levelWarning, "waits 4 min, and grows"},
		"overdue":                  {func(s *snapshot, q *queueRow) { q.NextDue = s.Now.Add(-time.Minute) }, levelProblem, "was due 1 min ago"},
		"failing":                  {func(_ *snapshot, q *queueRow) { q.Rates.Failed = 60 }, levelWarning, "60 % of the attempts"},
		"a silent process":         {func(s *snapshot, _ *queueRow) { s.Processes[0].BeatAt = s.Now.Add(-time.Minute) }, levelWarning, "silent for 1 min"},
	} {
		t.Run(name, func(t *testing.T) {
			shot, q := healthy()
			c.change(shot, q)
			notes := healthNotes(shot)
			if c.level == "" {
				if len(notes) > 0 {
					t.Errorf("%+v", notes)
				}
				return
			}
			if len(notes) != 1 || notes[0].Level != c.level || !strings.Contains(notes[0].Text, c.text) || notes[0].Advice == "" {
				t.Errorf("%+v, want %s with %q", notes, c.level, c.text)
			}
		})
	}
}

func TestNotesOnHiddenProcessesAreHidden(t *testing.T) {
	shot, _ := healthy()
	shot.Processes[0].BeatAt = shot.Now.Add(-time.Minute)
	shot.notes = healthNotes(shot)
	for queue, want := range map[string]int{"mail": 1, "other": 0} {
		if notes := shot.notesFor(&access.Viewer{Queues: map[string]access.Role{queue: access.Read}}); len(notes) != want {
			t.Errorf("who sees %s is told %+v", queue, notes)
		}
	}
}

func TestNotesAreFewHoweverManyQueues(t *testing.T) {
	shot, q := healthy()
	q.Paused = true
	for range 999 {
		shot.queues = append(shot.queues, *q)
	}
	notes := healthNotes(shot)
	if len(notes) != maxNotes+1 || !strings.Contains(notes[maxNotes].Text, "more queues") {
		t.Errorf("%d notes", len(notes))
	}
	hidden := &access.Viewer{Role: access.Read, Queues: map[string]access.Role{"mail": access.None}}
	shot.notes = notes
	for _, n := range shot.notesFor(hidden) {
		if strings.Contains(n.Text, "mail") {
			t.Errorf("a note tells of a hidden queue: %+v", n)
		}
	}
}

func TestWaitsThatGrowAreFoundOut(t *testing.T) {
	first, q := healthy()
	q.Oldest = 2 * time.Minute
	first.compare(nil)
	second, q2 := healthy()
	second.Now, q2.Oldest = first.Now.Add(time.Minute), 3*time.Minute
	second.compare(first)
	if q.Grows || !q2.Grows {
		t.Error(q.Grows, q2.Grows)
	}
	third, q3 := healthy()
	third.Now, q3.Oldest = second.Now.Add(time.Minute), time.Minute
	if third.compare(second); q3.Grows {
		t.Error("a wait that fell grows")
	}
}
