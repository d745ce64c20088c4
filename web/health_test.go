package web

import (
	"fmt"
	"net/http/httptest"
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

// TestTotalsTellNothingOfHiddenQueues: what a viewer is told is the same, whatever happens on queues that he does not see.
func TestTotalsTellNothingOfHiddenQueues(t *testing.T) {
	v := &access.Viewer{Queues: map[string]access.Role{"mail": access.Read}}
	told := func(change func(*snapshot)) string {
		shot, _ := healthy()
		shot.Processes = append(shot.Processes, bellhop.ProcessStatus{
			Process: bellhop.Process{Name: "both", Queues: []string{"mail", "hidden"}, Kinds: []string{"k"}, Slots: 7, Busy: 3}, Running: 3, BeatAt: shot.Now,
		})
		shot.queues[0].Rates = nil // a pointer, which is another each time
		change(shot)
		whoWorks(shot.queues, shot.Processes)
		shot.notes = healthNotes(shot)
		vw := &view{Request: httptest.NewRequest("GET", "/", nil), viewer: v}
		sum := shot.totals(vw)
		sum.Rates = nil
		return fmt.Sprintf("%+v %+v %+v %+v %+v", sum, vw.queueTable(shot).Rows, *shot.bar(v), shot.notesFor(v), v.Processes(shot.Processes))
	}
	before := told(func(*snapshot) {})
	for name, change := range map[string]func(*snapshot){
		"jobs": func(s *snapshot) {
			s.queues = append(s.queues, queueRow{QueueStats: bellhop.QueueStats{Queue: "hidden", Ready: 9, Dead: 7}, Oldest: time.Hour, Hint: "nobody"})
		},
		"a process": func(s *snapshot) {
			s.Processes = append(s.Processes, bellhop.ProcessStatus{Process: bellhop.Process{Name: "h", Queues: []string{"hidden"}, Slots: 9, Busy: 9}})
		},
		"busy slots": func(s *snapshot) { s.Processes[1].Busy, s.Processes[1].Running = 7, 7 },
		"kinds":      func(s *snapshot) { s.Processes[1].Kinds = []string{"k", "lawsuit"} },
		"more slots": func(s *snapshot) { s.Processes[1].Slots = 100 },
	} {
		if after := told(change); after != before {
			t.Errorf("%s of a hidden queue is told:\n%s\n%s", name, before, after)
		}
	}
	shot := &snapshot{Queues: &look.Queues{}, queues: []queueRow{{QueueStats: bellhop.QueueStats{Queue: "hidden", Ready: 9}}}}
	shot.notes = healthNotes(shot)
	if notes := shot.notesFor(v); len(notes) > 0 {
		t.Errorf("jobs of a hidden queue that nobody runs are told of: %+v", notes)
	}
}

func TestNotesAreFewHoweverManyQueues(t *testing.T) {
	shot, q := healthy()
	q.Paused = true
	for range 999 {
		shot.queues = append(shot.queues, *q)
	}
	shot.notes = healthNotes(shot)
	notes := shot.notesFor(&access.Viewer{Role: access.Read})
	if len(notes) != maxNotes+1 || !strings.Contains(notes[maxNotes].Text, "988 more queues") {
		t.Errorf("%d notes", len(notes))
	}
	hidden := &access.Viewer{Role: access.Read, Queues: map[string]access.Role{"mail": access.None}}
	if notes := shot.notesFor(hidden); len(notes) > 0 {
		t.Errorf("notes tell of hidden queues: %+v", notes)
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
