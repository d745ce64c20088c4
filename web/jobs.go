package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/filterurl"
	"github.com/gobellhop/bellhop/internal/reach"
	"github.com/gobellhop/bellhop/internal/redact"
)

const (
	jobsPerPage = 50
	maxPageMark = 512 // bytes of where a page begins
)

// jobsData is what the list of jobs shows.
type jobsData struct {
	*filterurl.Reading
	Query string // of the filter, canonical: what goes with every link and form
	Tabs  []stateTab
	Chips []chip
	Views []savedView
	Jobs  []jobRow
	// Looked is how many jobs were looked at for the page if that is why it is short; then Pager.Next goes on.
	Looked int
	Pager  pager
	// CSV and Lines are where all that match are exported.
	CSV, Lines string
	Hidden     bool // some queues are not for the viewer
	MayAct     bool // on some queue
	MayDrop    bool // delete, on some queue
	MayKeep    bool // views for all
	More       bool // conditions of the form's second part are in use
}

// jobRow is a job as lists show it.
type jobRow struct {
	bellhop.Snapshot
	// When is the time that matters in the job's state, What says which it is: "due", "ready", "ended".
	When time.Time
	What string
	// Error is what the newest attempt ended with, in one line without secrets; empty if nothing went wrong.
	Error string
}

// stateTab leads to the jobs of one state.
type stateTab struct {
	Name    string // "all" or a state's
	State   bellhop.State
	URL     string
	Current bool
}

// chip is one condition of the filter, with the address of the list without it.
type chip struct {
	Name, Value string
	URL         string
}

// now is the store's clock, or this machine's while the store does not answer.
func (v *view) now() time.Time {
	if shot := v.snapshot(); shot != nil {
		return shot.Clock()
	}
	return time.Now()
}

// readFilter reads the filter of the address. others are the page's own parameters.
func (v *view) readFilter(others ...string) *filterurl.Reading {
	query, err := url.ParseQuery(v.URL.RawQuery)
	r := filterurl.Read(query, v.now(), others...)
	if err != nil { // what was left out might have been a condition
		r.Problems = append(r.Problems, filterurl.Problem{Name: "query", Text: err.Error()})
	}
	return r
}

// jobs lists jobs.
func (s *Server) jobs(v *view) (*page, error) {
	r := v.readFilter("after", "pages")
	for _, values := range v.URL.Query() {
		if slices.Contains(values, "") && len(r.Problems) == 0 { // as forms send it: go to the address that is worth keeping
			return nil, &problem{status: http.StatusSeeOther, to: s.jobsAt(r)}
		}
	}
	d := &jobsData{Reading: r, Query: r.Query(), Hidden: !v.viewer.SeesAll()}
	d.MayAct, d.MayDrop, d.MayKeep = v.mayAct(), v.mayDelete(), v.mayAct()
	d.Tabs, d.Chips = s.stateTabs(r), s.chips(r)
	d.CSV = s.at("/jobs/export", d.Query, "format", "csv")
	d.Lines = s.at("/jobs/export", d.Query, "format", "ndjson", "args", "1")
	for _, name := range []string{"error", "fingerprint", "process", "enqueued_before", "finished_after", "finished_before", "not_queue", "id"} {
		d.More = d.More || len(r.Values[name]) > 0
	}
	p := &page{name: "jobs", title: "Jobs", nav: "/jobs", data: d}
	var err error
	if d.Views, err = s.savedViews(v); err != nil {
		return nil, err
	}
	if len(r.Problems) > 0 {
		p.status = http.StatusBadRequest
		p.json = map[string]any{"title": "The filter cannot be read", "status": p.status, "problems": r.Problems}
		return p, nil
	}
	after := v.param("after")
	if len(after) > maxPageMark {
		return nil, badInput("the parameter after is not one that a page has given")
	}
	listing, err := s.list(v, bellhop.Query{Filter: r.Filter, Limit: jobsPerPage, After: after, WithoutArgs: true, WithLast: true})
	if err != nil {
		return nil, err
	}
	d.fill(listing)
	d.page(s, after, listing)
	p.json = jobsJSON(listing)
	return p, nil
}

// list asks for a page of those jobs that the viewer may see, without their secrets.
func (s *Server) list(v *view, q bellhop.Query) (*bellhop.Listing, error) {
	narrow, some, err := reach.Look(v.viewer, q.Filter)
	if err != nil || !some {
		return &bellhop.Listing{}, err
	}
	q.Filter = narrow
	ctx, cancel := storeContext(v.Request) // an export's request has no bound of its own
	defer cancel()
	listing, err := s.client.List(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range listing.Jobs {
		listing.Jobs[i] = *redact.Snapshot(&listing.Jobs[i])
	}
	return listing, nil
}

func (d *jobsData) fill(l *bellhop.Listing) {
	for i := range l.Jobs {
		row := jobRow{Snapshot: l.Jobs[i]}
		p := &row.Place
		switch {
		case p.State == bellhop.StateScheduled:
			row.When, row.What = p.Due, "due"
		case p.State == bellhop.StateRunning:
			row.When, row.What = p.ClaimedAt, "claimed"
		case p.State.Final():
			row.When, row.What = p.FinishedAt, "ended"
		default:
			row.When, row.What = p.Due, p.State.String()
		}
		if n := len(row.History); n > 0 && row.History[n-1].Failure != nil && p.State != bellhop.StateSucceeded {
			row.Error = oneLine(row.History[n-1].Failure.Message)
		} else if p.Reason != "" {
			row.Error = oneLine(p.Reason)
		}
		d.Jobs = append(d.Jobs, row)
	}
}

// oneLine makes the beginning of a text fit for a table.
func oneLine(text string) string {
	return bellhop.CleanText(strings.Join(strings.Fields(text[:min(len(text), 400)]), " "), 160)
}

// page says where the list goes on.
func (d *jobsData) page(s *Server, after string, l *bellhop.Listing) {
	if after != "" {
		d.Pager.First = s.jobsAt(d.Reading)
	}
	if l.Next != "" {
		d.Pager.Next = s.jobsAt(d.Reading, "after", l.Next)
	}
	if l.Next != "" && len(l.Jobs) < jobsPerPage {
		d.Looked = l.Examined
	}
	d.Pager.Text = plural(len(l.Jobs), "job") + " on this page"
}

// jobsAt is the address of the list with a filter, and further parameters in pairs.
func (s *Server) jobsAt(r *filterurl.Reading, pairs ...string) string {
	return s.at("/jobs", r.Query(), pairs...)
}

// at is an address of the dashboard with the query of a filter, and further parameters in pairs.
func (s *Server) at(path, query string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if query != "" {
			query += "&"
		}
		query += pairs[i] + "=" + url.QueryEscape(pairs[i+1])
	}
	if query == "" {
		return s.opts.Prefix + path
	}
	return s.opts.Prefix + path + "?" + query
}

// without returns the filter without one value of a condition; without the whole condition if the value is empty.
func without(r *filterurl.Reading, name, value string) *filterurl.Reading {
	rest := url.Values{}
	for n, values := range r.Values {
		for _, v := range values {
			if n != name || value != "" && v != value {
				rest.Add(n, v)
			}
		}
	}
	return &filterurl.Reading{Values: rest}
}

// stateTabs leads from one state to the next, whatever else is filtered.
func (s *Server) stateTabs(r *filterurl.Reading) []stateTab {
	rest := without(r, "state", "")
	tabs := []stateTab{{Name: "all", URL: s.jobsAt(rest), Current: len(r.Values["state"]) == 0}}
	for _, state := range []bellhop.State{
		bellhop.StateReady, bellhop.StateRunning, bellhop.StateScheduled, bellhop.StateBlocked,
		bellhop.StateDead, bellhop.StateSucceeded, bellhop.StateDiscarded, bellhop.StateCancelled,
	} {
		one := &filterurl.Reading{Values: url.Values{"state": {state.String()}}}
		for name, values := range rest.Values {
			one.Values[name] = values
		}
		tabs = append(tabs, stateTab{
			Name: state.String(), State: state, URL: s.jobsAt(one), Current: slices.Contains(r.Values["state"], state.String()),
		})
	}
	return tabs
}

// labels are the names of conditions for people.
var labels = map[string]string{
	"state": "state", "queue": "queue", "not_queue": "not queue", "kind": "kind", "tag": "tag", "arg": "argument", "text": "text",
	"error": "error", "fingerprint": "failure group", "process": "process", "enqueued_after": "enqueued from",
	"enqueued_before": "enqueued before", "finished_after": "ended from", "finished_before": "ended before", "id": "job",
}

// chips are the conditions one by one, each of which can be taken away.
func (s *Server) chips(r *filterurl.Reading) []chip {
	var chips []chip
	for _, name := range filterurl.Names {
		if name == "id" && len(r.Values[name]) > 3 {
			chips = append(chips, chip{labels[name], plural(len(r.Values[name]), "job"), s.jobsAt(without(r, name, ""))})
			continue
		}
		for _, value := range r.Values[name] {
			chips = append(chips, chip{labels[name], value, s.jobsAt(without(r, name, value))})
		}
	}
	return chips
}

// jobsJSON is a list of jobs as the API gives it.
func jobsJSON(l *bellhop.Listing) any {
	out := &api.Listing{Jobs: make([]*api.Job, len(l.Jobs)), Next: l.Next}
	for i := range l.Jobs {
		out.Jobs[i] = api.NewJob(&l.Jobs[i])
	}
	return out
}
