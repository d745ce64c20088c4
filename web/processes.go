package web

import (
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
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
	versions := map[string]bool{}
	for _, p := range shot.processes {
		versions[p.Version] = true
	}
	from, to, p := v.paginate(len(shot.processes), "process")
	data := processData{Processes: shot.processes[from:to], Versions: len(versions), Pager: p}
	return &page{name: "processes", title: "Processes", nav: "/processes", live: true, data: data, json: map[string]any{
		"at": shot.at, "processes": data.Processes, "next": p.Next,
	}}, nil
}

// oneProcess is what the page of a process shows.
type oneProcess struct {
	bellhop.ProcessStatus
	Gone    bool
	Jobs    []bellhop.Snapshot // what it runs, newest enqueued first
	More    bool               // it runs more than are listed
	Hidden  bool               // it runs jobs that the viewer may not see
	Longest []string
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
	at := slices.IndexFunc(shot.processes, func(p bellhop.ProcessStatus) bool { return p.ID == id })
	if data.Gone = at < 0; data.Gone {
		return nil, notFound("There is no living process with this id: it has left, or others have taken its jobs back.")
	}
	data.ProcessStatus = shot.processes[at]
	filter := bellhop.Filter{Process: id, States: bellhop.States(bellhop.StateRunning)}
	narrow, some := v.viewer.Narrow(filter)
	if data.Hidden = !v.viewer.SeesAll(); some {
		list, err := s.client.Store().List(v.Context(), &bellhop.Query{Filter: narrow, Limit: runningShown, WithoutArgs: true})
		if err != nil {
			return nil, err
		}
		data.Jobs, data.More = list.Jobs, list.Next != ""
	}
	slices.SortStableFunc(data.Jobs, func(a, b bellhop.Snapshot) int { return a.Place.ClaimedAt.Compare(b.Place.ClaimedAt) })
	return &page{name: "process", title: "Process " + shorten(data.Name, 80), nav: "/processes", live: true, data: data, json: map[string]any{
		"process": data.ProcessStatus, "running": data.Jobs,
	}}, nil
}

// actOnProcess drains a process.
func (s *Server) actOnProcess(v *view) (*done, error) {
	if err := v.need(access.Admin, ""); err != nil {
		return nil, err
	}
	return nil, badInput("the action %.20q is unknown", strings.TrimSpace(v.PostForm.Get("action")))
}
