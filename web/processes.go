package web

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
	"github.com/gobellhop/bellhop/internal/redact"
)

// runningShown is how many running jobs the page of a process lists.
const runningShown = 100

// processData is what the pages of processes show.
type processData struct {
	Processes []processRow   // of this page
	Alive     int            // on all pages
	Gone      []control.Gone // that died with jobs in hand, the newest first
	Versions  int            // how many versions of programs are alive: more than one means a deploy is under way
	Pager     pager
}

// goneShown is how many dead processes are listed.
const goneShown = 20

// processRow is a process as lists show it.
type processRow struct {
	bellhop.ProcessStatus
	Drained *control.Order `json:"drained,omitempty"` // by whom, and since when; nil if it takes jobs
}

// rows joins processes with what people have told them.
func (shot *snapshot) rows(processes []bellhop.ProcessStatus) []processRow {
	rows := make([]processRow, len(processes))
	for i, p := range processes {
		rows[i].ProcessStatus = p
		if o, is := shot.Control.Drained[p.ID]; is {
			rows[i].Drained = &o
		}
	}
	return rows
}

// processes lists who is alive, and who died with jobs in hand.
func (s *Server) processes(v *view) (*page, error) {
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	versions, seen := map[string]bool{}, v.viewer.Processes(shot.Processes)
	for _, p := range seen {
		versions[p.Version] = true
	}
	from, to, p := v.paginate(len(seen), "process")
	data := processData{Processes: shot.rows(seen[from:to]), Alive: len(seen), Versions: len(versions), Pager: p}
	if v.viewer.SeesAll() { // what became of jobs may be about any queue
		if data.Gone, _, err = control.ListGone(v.Context(), s.client.Store(), "", goneShown); err != nil {
			return nil, err
		}
	}
	return &page{name: "processes", title: "Processes", nav: "/processes", live: true, data: data, json: map[string]any{
		"at": shot.Now, "processes": data.Processes, "next": p.Next, "gone": data.Gone,
	}}, nil
}

// oneProcess is what the page of a process shows.
type oneProcess struct {
	processRow
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
	seen := v.viewer.Processes(shot.Processes)
	at := slices.IndexFunc(seen, func(p bellhop.ProcessStatus) bool { return p.ID == id })
	if at < 0 {
		return nil, notFound("There is no living process with this id: it has left, or others have taken its jobs back.")
	}
	data.processRow = shot.rows(seen[at : at+1])[0]
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
		"process": data.processRow, "running": data.Jobs,
	}}, nil
}

// actOnProcess tells a process to take no more jobs, or to take some again. It concerns all queues that the process works.
func (s *Server) actOnProcess(v *view) (*done, error) {
	id, err := bellhop.ParseID(v.PathValue("process"))
	if err != nil {
		return nil, notFound("%v", err)
	}
	e := audit.Entry{Action: shorten(v.PostForm.Get("action"), 40), Target: id.String()}
	if err := v.allowed(access.Admin, "", e); err != nil {
		return nil, err
	}
	d := &done{to: v.back("/processes/" + id.String())}
	switch action := v.PostForm.Get("action"); action {
	case "drain":
		err = control.Drain(v.Context(), s.client.Store(), id, v.viewer.Name)
		d.said = "The process takes no more jobs, within half a minute; what runs ends by itself."
	case "undrain":
		err = control.Undrain(v.Context(), s.client.Store(), id)
		d.said = "The process takes jobs again, within half a minute."
	default:
		return nil, badInput("the action %.20q is unknown: want drain or undrain", action)
	}
	s.live.forget()
	return d, v.acted(e, err)
}
