package web

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/redact"
)

// runningShown is how many running jobs the page of a process lists.
const runningShown = 100

// processData is what the pages of processes show.
type processData struct {
	Processes []bellhop.ProcessStatus
	Versions  int // how many versions of programs are alive: more than one means a deploy is under way
	Pager     pager
}

// processes lists who is alive.
func (s *Server) processes(v *view) (*page, error) {
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	versions, seen := map[string]bool{}, v.viewer.Processes(shot.processes)
	for _, p := range seen {
		versions[p.Version] = true
	}
	from, to, p := v.paginate(len(seen), "process")
	data := processData{Processes: seen[from:to], Versions: len(versions), Pager: p}
	return &page{name: "processes", title: "Processes", nav: "/processes", live: true, data: data, json: map[string]any{
		"at": shot.at, "processes": data.Processes, "next": p.Next,
	}}, nil
}

// oneProcess is what the page of a process shows.
type oneProcess struct {
	bellhop.ProcessStatus
	Jobs   []runningJob // what it runs, the longest running first
	More   bool         // it runs more than are listed
	Hidden bool         // it may run jobs that the viewer may not see
}

// runningJob is a job that a process runs.
type runningJob struct {
	ID        bellhop.ID        `json:"id"`
	Kind      string            `json:"kind"`
	Queue     string            `json:"queue"`
	Attempt   int               `json:"attempt"`
	ClaimedAt time.Time         `json:"claimed_at"`
	Progress  *bellhop.Progress `json:"progress,omitempty"`
}

// Percent is how far it has come; -1 if nobody knows.
func (j *runningJob) Percent() int {
	if j.Progress == nil || j.Progress.Total <= 0 {
		return -1
	}
	return int(min(max(100*float64(j.Progress.Done)/float64(j.Progress.Total), 0), 100))
}

func runningJobOf(j *bellhop.Snapshot) runningJob {
	r := runningJob{ID: j.ID, Kind: j.Kind, Queue: j.Queue, Attempt: j.Place.Attempt + 1, ClaimedAt: j.Place.ClaimedAt}
	var p bellhop.Progress
	if len(j.Place.Progress) > 0 && json.Unmarshal(j.Place.Progress, &p) == nil {
		p.Note = redact.Text(p.Note)
		r.Progress = &p
	}
	return r
}

// process shows one process and what it runs.
func (s *Server) process(v *view) (*page, error) {
	id, err := bellhop.ParseID(v.PathValue("process"))
	if err != nil {
		return nil, notFound("%v", err)
	}
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	data := oneProcess{}
	seen := v.viewer.Processes(shot.processes)
	at := slices.IndexFunc(seen, func(p bellhop.ProcessStatus) bool { return p.ID == id })
	if at < 0 {
		return nil, notFound("There is no living process with this id: it has left, or others have taken its jobs back.")
	}
	data.ProcessStatus = seen[at]
	filter := bellhop.Filter{Process: id, States: bellhop.States(bellhop.StateRunning)}
	narrow, some := v.viewer.Narrow(filter)
	if data.Hidden = !v.viewer.SeesAll(); some {
		list, err := s.client.Store().List(v.Context(), &bellhop.Query{Filter: narrow, Limit: runningShown, WithoutArgs: true})
		if err != nil {
			return nil, err
		}
		for i := range list.Jobs {
			data.Jobs = append(data.Jobs, runningJobOf(&list.Jobs[i]))
		}
		data.More = list.Next != ""
	}
	slices.SortStableFunc(data.Jobs, func(a, b runningJob) int { return a.ClaimedAt.Compare(b.ClaimedAt) })
	return &page{name: "process", title: "Process " + shorten(data.Name, 80), nav: "/processes", live: true, data: data, json: map[string]any{
		"process": data.ProcessStatus, "running": data.Jobs,
	}}, nil
}

// actOnProcess drains a process.
func (s *Server) actOnProcess(v *view) (*done, error) {
	e := audit.Entry{Action: strings.TrimSpace(v.PostForm.Get("action")), Target: v.PathValue("process")}
	if err := v.allowed(access.Admin, "", e); err != nil {
		return nil, err
	}
	return nil, badInput("the action %.20q is unknown", strings.TrimSpace(v.PostForm.Get("action")))
}
