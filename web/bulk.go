package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/internal/filterurl"
	"github.com/gobellhop/bellhop/internal/reach"
)

const (
	operationsPerPage = 50
	sampleJobs        = 5               // jobs that are shown before an operation
	startWait         = 1 * time.Second // for an operation to be through before its page is shown
)

// bulkAsk is what a person wants done to many jobs, as a form says it.
type bulkAsk struct {
	Action bellhop.Action
	Query  string         // the filter, canonical
	Filter bellhop.Filter // what of it the viewer may do the action to, in the states in which that means something
	Some   bool           // that is something: else no store is to be asked
	Picked int            // jobs that were picked one by one; 0: all that match
	Chips  []chip
}

// readAsk reads an action, and what it is for: jobs picked by id, or with all=1 those that match the filter q.
func (s *Server) readAsk(v *view, form url.Values) (*bulkAsk, error) {
	action, err := bellhop.ParseAction(form.Get("action"))
	if err != nil {
		return nil, badInput("%v", err)
	}
	ask := &bulkAsk{Action: action}
	query := url.Values{}
	if form.Get("all") != "" {
		if query, err = url.ParseQuery(form.Get("q")); err != nil {
			return nil, badInput("the filter cannot be read: %v", err)
		}
	} else if query["id"] = form["id"]; len(form["id"]) == 0 {
		return nil, badInput("no job is picked: go back and pick some, or choose all that match")
	}
	ask.Picked = len(query["id"])
	r := filterurl.Read(query, v.now())
	if len(r.Problems) > 0 {
		return nil, badInput("%s: %s", r.Problems[0].Name, r.Problems[0].Text)
	}
	ask.Query = r.Query()
	filter := r.Filter
	if filter.IsZero() { // all that match nothing in particular: all that the action is for
		filter.States = action.From()
		if action == bellhop.ActRetry {
			filter.States = bellhop.States(bellhop.StateDead)
		}
	}
	if filter, err = bulk.Narrow(action, filter); err != nil {
		return nil, badInput("%s", strings.TrimPrefix(err.Error(), "bulk: "))
	}
	e := audit.Entry{Action: "bulk " + action.String(), Filter: audit.FilterText(&filter)}
	if ask.Filter, ask.Some, err = reach.Act(v.viewer, action, filter); err != nil {
		return nil, v.refused(e, err)
	}
	shown := r
	if ask.Picked > 0 {
		shown = without(r, "id", "")
	}
	ask.Chips = s.chips(shown)
	return ask, nil
}

// askData is what the page before an operation shows.
type askData struct {
	*bulkAsk
	Count   string // how many jobs it will touch: "1,204", "100,000+"
	None    bool
	Unknown bool // they could not be counted within the limits
	IDs     []string
	States  string
	Sample  []jobRow
	Bound   int
	Back    string
}

// askBulk asks before an operation, with the number of jobs that it will touch.
func (s *Server) askBulk(v *view) (*page, error) {
	form, err := url.ParseQuery(v.URL.RawQuery)
	if err != nil {
		return nil, badInput("the address cannot be read: %v", err)
	}
	ask, err := s.readAsk(v, form)
	if err != nil {
		return nil, err
	}
	d := &askData{bulkAsk: ask, Bound: bulk.DefaultBound, States: strings.ReplaceAll(ask.Filter.States.String(), "|", ", ")}
	if ask.Picked > 0 {
		d.IDs = form["id"]
	}
	if back := form.Get("back"); isWithin(back) {
		d.Back = back
	}
	ctx, cancel := context.WithTimeout(v.Context(), countWithin)
	defer cancel()
	var tally bellhop.Tally
	if ask.Some {
		tally, err = s.client.Tally(ctx, ask.Filter, bulk.CountedTo)
	}
	if tally.Examined > 0 { // the look was bounded: going on is worth a moment, since people are asked for so many
		ctx, cancel := context.WithTimeout(ctx, countOnFor)
		defer cancel()
		if n, err := s.client.Count(ctx, ask.Filter, bulk.CountedTo); err == nil || n > tally.Count {
			tally = bellhop.Tally{Count: n, More: err != nil || n == bulk.CountedTo}
		}
	}
	switch {
	case err != nil && ctx.Err() != nil && v.Context().Err() == nil:
		d.Count, d.Unknown = "an unknown number of", true
	case err != nil:
		return nil, err
	case tally.Count == 0 && tally.More: // none among those that were looked at
		d.Count, d.Unknown = "an unknown number of", true
	default:
		d.Count, d.None = tallyText(tally), tally.Count == 0
	}
	var rows jobsData
	if ask.Some {
		sample, err := s.list(v, bellhop.Query{Filter: ask.Filter, Limit: sampleJobs, WithoutArgs: true, WithLast: true})
		if err != nil {
			return nil, err
		}
		rows.fill(sample)
	}
	d.Sample = rows.Jobs
	title := actionWord(ask.Action) + " " + d.Count + " jobs?"
	if d.Count == "1" {
		title = actionWord(ask.Action) + " 1 job?"
	}
	return &page{name: "ask", title: title, nav: "/jobs", data: d}, nil
}

// actionWord is an action as the word on its button.
func actionWord(a bellhop.Action) string {
	if a == bellhop.ActRunNow {
		return "Run now"
	}
	name := a.String()
	return strings.ToUpper(name[:1]) + name[1:]
}

// startBulk begins an operation, and waits a moment for its end: most are small.
func (s *Server) startBulk(v *view) (*done, error) {
	ask, err := s.readAsk(v, v.PostForm)
	if err != nil {
		return nil, err
	}
	if !ask.Some {
		return nil, notFound("No job is selected: there are none in the queues that are named.")
	}
	bound := bulk.DefaultBound
	if text := strings.TrimSpace(v.PostForm.Get("bound")); text != "" {
		if bound, err = strconv.Atoi(text); err != nil || bound < 1 || bound > bulk.MaxBound {
			return nil, badInput("the bound %.40q is out of range: want a whole number from 1 to %d", text, bulk.MaxBound)
		}
	}
	reason := strings.TrimSpace(v.PostForm.Get("reason"))
	op, err := s.ops.Start(v.Context(), bulk.Request{Action: ask.Action, Filter: ask.Filter, Bound: bound, By: v.viewer.Name, Reason: reason})
	if errors.Is(err, bulk.ErrBusy) {
		return nil, &problem{status: http.StatusConflict, title: "Too many operations run", detail: strings.TrimPrefix(err.Error(), "bulk: ")}
	}
	if err != nil {
		return nil, err
	}
	s.audit.Write(v.Context(), v.entry(audit.Entry{Action: "bulk " + op.Action.String(), Target: op.ID, Filter: audit.FilterText(&op.Filter), Reason: reason}))
	s.live.forget()
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline) && v.Context().Err() == nil; {
		if now, err := s.ops.Get(v.Context(), op.ID); err == nil {
			op = now
		}
		if op.Ended() {
			return &done{to: v.back("/bulk/" + op.ID), said: s.outcome(ask, op), bad: op.State == bulk.Failed}, nil
		}
		time.Sleep(25 * time.Millisecond) // there is no signal for a record that another process may write
	}
	return &done{to: "/bulk/" + op.ID, said: "The operation goes on in the background: you may leave this page."}, nil
}

// outcome says what a short operation came to.
func (s *Server) outcome(ask *bulkAsk, op *bulk.Operation) string {
	if op.State == bulk.Failed {
		return "It failed: " + op.Error
	}
	said := plural(op.Done, "job") + " " + bulk.Past(op.Action) + "."
	if left := ask.Picked - op.Done - op.Held; ask.Picked > 0 && left > 0 {
		said += fmt.Sprintf(" %s left as they are: the action means nothing in their state, is not yours to do on their queue, or they are gone.", plural(left, "job"))
	}
	if op.Held > 0 {
		said += fmt.Sprintf(" %s could not be retried: other jobs hold their unique keys.", plural(op.Held, "job"))
	}
	if op.State == bulk.Bounded {
		said += " The bound was reached: more jobs may match."
	}
	return said
}

// bulkEnded writes to the audit what an operation came to.
func (s *Server) bulkEnded(ctx context.Context, o *bulk.Operation) {
	s.audit.Write(ctx, audit.Entry{
		Who: o.By, Via: audit.ViaWeb, Action: "bulk " + o.Action.String() + " " + string(o.State), Target: o.ID, Count: o.Done,
		Filter: audit.FilterText(&o.Filter), Reason: o.Reason,
	})
	s.live.forget()
}

// opRow is an operation as pages show it.
type opRow struct {
	*bulk.Operation
	Chips   []chip
	MayStop bool
	Past    string
	Word    string
	Percent int
	Rate    float64 // jobs a second
	Lag     bool    // its process has not been heard of: another will take it over
}

func (s *Server) opRow(v *view, o *bulk.Operation) opRow {
	query, _ := url.ParseQuery(audit.FilterText(&o.Filter)) // what Encode writes can be parsed
	row := opRow{
		Operation: o, Chips: s.chips(filterurl.Read(query, v.now())), Past: bulk.Past(o.Action), Word: actionWord(o.Action), Percent: o.Percent(),
		MayStop: !o.Ended() && v.mayOperate(o, access.RoleFor(o.Action)),
	}
	end := o.BeatAt
	if took := end.Sub(o.StartedAt).Seconds(); took > 0 {
		row.Rate = float64(o.Done) / took
	}
	row.Lag = !o.Ended() && v.now().Sub(o.BeatAt) > 15*time.Second
	return row
}

// mayOperate reports whether the viewer has the role on all that an operation may touch. Who began it does not matter: its filter
// was narrowed to queues on which he had the role then.
func (v *view) mayOperate(o *bulk.Operation, role access.Role) bool {
	return v.viewer.Over(&o.Filter) >= role
}

// operations lists the operations that the viewer may see, newest first.
func (s *Server) operations(v *view) (*page, error) {
	list, next, err := s.ops.List(v.Context(), v.param("after"), operationsPerPage)
	if err != nil {
		return nil, err
	}
	d := struct {
		Rows  []opRow
		Pager pager
	}{Pager: pager{Text: "Operations are kept for 30 days."}}
	for _, o := range list {
		if v.mayOperate(o, access.Read) {
			d.Rows = append(d.Rows, s.opRow(v, o))
		}
	}
	if next != "" {
		d.Pager.Next = v.with("after", next)
	}
	if v.param("after") != "" {
		d.Pager.First = v.with()
	}
	return &page{name: "bulk", title: "Operations", nav: "/bulk", data: d, json: map[string]any{"operations": opsJSON(d.Rows), "next": next}, live: v.param("after") == ""}, nil
}

// opsJSON is how operations look as JSON.
func opsJSON(rows []opRow) []any {
	list := make([]any, len(rows))
	for i, o := range rows {
		list[i] = map[string]any{
			"id": o.ID, "action": o.Action.String(), "filter": audit.FilterText(&o.Filter), "by": o.By, "reason": o.Reason, "state": o.State,
			"total": o.Total, "total_capped": o.Capped, "bound": o.Bound, "done": o.Done, "held": o.Held, "started_at": o.StartedAt,
			"ended_at": o.EndedAt, "error": o.Error, "takeovers": o.Takeovers,
		}
	}
	return list
}

// operation shows one operation, live.
func (s *Server) operation(v *view) (*page, error) {
	o, err := s.seenOperation(v)
	if err != nil {
		return nil, err
	}
	row := s.opRow(v, o)
	return &page{name: "operation", title: row.Word + " in bulk", nav: "/bulk", data: row, json: opsJSON([]opRow{row})[0], live: true}, nil
}

func (s *Server) seenOperation(v *view) (*bulk.Operation, error) {
	o, err := s.ops.Get(v.Context(), v.PathValue("operation"))
	if errors.Is(err, bellhop.ErrNotFound) || err == nil && !v.mayOperate(o, access.Read) {
		return nil, notFound("There is no operation with this id: it may have been started more than 30 days ago.")
	}
	return o, err
}

// actOnOperation stops an operation.
func (s *Server) actOnOperation(v *view) (*done, error) {
	if action := v.PostForm.Get("action"); action != "stop" {
		return nil, badInput("the action %.20q is unknown: want stop", action)
	}
	o, err := s.seenOperation(v)
	if err != nil {
		return nil, err
	}
	e := audit.Entry{Action: "bulk stop", Target: o.ID, Filter: audit.FilterText(&o.Filter)}
	if err := v.viewer.AllowOver(access.RoleFor(o.Action), &o.Filter); err != nil {
		return nil, v.refused(e, err)
	}
	by := v.viewer.Name
	if o, err = s.ops.Stop(v.Context(), o.ID, by); err != nil {
		return nil, err
	}
	s.audit.Write(v.Context(), v.entry(e))
	said := "It stops after the jobs that it is at. What is done is done."
	if o.Ended() && o.State != bulk.Stopped {
		said = "It had ended already."
	}
	return &done{to: "/bulk/" + o.ID, said: said}, nil
}
