package api

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/reach"
	"github.com/gobellhop/bellhop/internal/redact"
)

// jobRequest names one job by its path.
type jobRequest struct{ id bellhop.ID }

func (in *jobRequest) read(r *request) (err error) {
	if _, err := r.parameters(); err != nil {
		return err
	}
	in.id, err = r.id()
	return err
}

// getRequest is GET /v1/jobs/{id}.
type getRequest struct {
	jobRequest
	reveal bool
}

// getParameters are the parameters of a look at a job.
var getParameters = []string{"reveal"}

func (in *getRequest) read(r *request) error {
	q, err := r.parameters(getParameters...)
	if err != nil {
		return err
	}
	in.reveal = q.flag("reveal")
	if q.err == nil {
		in.id, q.err = r.id()
	}
	return q.err
}

// getJob is GET /v1/jobs/{id}.
func (s *Server) getJob(ctx context.Context, in *getRequest) (*Job, error) {
	found, err := s.seen(ctx, in.id)
	if err != nil {
		return nil, err
	}
	if !in.reveal {
		found = redact.Snapshot(found)
	} else if err := s.reveals(ctx, audit.Entry{Queue: found.Queue, Target: in.id.String()}, access.From(ctx).Allow(access.Admin, found.Queue)); err != nil {
		return nil, err
	}
	j := NewJob(found)
	s.addHints(ctx, j)
	return j, nil
}

// seen returns a job that the viewer sees; one that he does not see is not found.
func (s *Server) seen(ctx context.Context, id bellhop.ID) (*bellhop.Snapshot, error) {
	found, err := s.client.Get(ctx, id)
	if err == nil && !access.From(ctx).Sees(found.Queue) {
		err = bellhop.ErrNotFound
	}
	return found, err
}

// visible returns a filter that selects what the viewer sees of f; some is false if that is nothing.
func visible(ctx context.Context, f bellhop.Filter) (_ bellhop.Filter, some bool, err error) {
	return reach.Look(access.From(ctx), f)
}

const (
	defaultPage  = 50
	maxPage      = 1000
	maxPageArgs  = 100 // where arguments come with the jobs
	defaultCount = 10_000
	maxCount     = 100_000
)

// listRequest is GET /v1/jobs.
type listRequest struct {
	query  bellhop.Query
	reveal bool
}

// listParameters are the parameters of a listing.
var listParameters = append([]string{"limit", "after", "args", "reveal"}, filterParameters...)

func (in *listRequest) read(r *request) error {
	q, err := r.parameters(listParameters...)
	if err != nil {
		return err
	}
	withArgs := q.flag("args")
	most := maxPage
	if withArgs {
		most = maxPageArgs
	}
	in.query = bellhop.Query{
		Filter: q.filter(), Limit: q.number("limit", defaultPage, 1, most),
		After: q.text("after", maxCursor), WithoutArgs: !withArgs,
	}
	in.reveal = q.flag("reveal")
	return q.err
}

// Listing is a page of jobs on the wire, newest first.
type Listing struct {
	Jobs []*Job `json:"jobs"`
	// Next is the parameter after for the next page; empty at the end.
	Next string `json:"next,omitempty"`
	// Examined is how many jobs were looked at: a page that is short and has a Next ended at the bound of one search, or at 4 MB.
	Examined int `json:"examined,omitempty"`
}

// AppendJSON appends the page as JSON; see [Job.AppendJSON].
func (l *Listing) AppendJSON(b []byte) []byte {
	b = append(b, `{"jobs":[`...)
	for i, j := range l.Jobs {
		if i > 0 {
			b = append(b, ',')
		}
		b = j.AppendJSON(b)
	}
	b = append(b, ']')
	if l.Examined > 0 {
		b = strconv.AppendInt(append(b, `,"examined":`...), int64(l.Examined), 10)
	}
	if l.Next != "" {
		next, err := json.Marshal(l.Next)
		if err != nil { // strings always encode
			panic(err)
		}
		b = append(append(b, `,"next":`...), next...)
	}
	return append(b, '}')
}

// listJobs is GET /v1/jobs.
func (s *Server) listJobs(ctx context.Context, in *listRequest) (*Listing, error) {
	filter, some, err := visible(ctx, in.query.Filter)
	if in.reveal {
		e := audit.Entry{Filter: audit.FilterText(&in.query.Filter)}
		err = cmp.Or(s.reveals(ctx, e, access.From(ctx).AllowOver(access.Admin, &filter)), err)
	}
	if err != nil || !some {
		return &Listing{Jobs: []*Job{}}, err
	}
	in.query.Filter = filter
	found, err := s.list(ctx, in.query)
	if err != nil {
		return nil, err
	}
	page := &Listing{Jobs: make([]*Job, len(found.Jobs)), Next: found.Next, Examined: found.Examined}
	for i := range found.Jobs {
		shown := &found.Jobs[i]
		if !in.reveal {
			shown = redact.Snapshot(shown)
		}
		page.Jobs[i] = NewJob(shown)
	}
	s.addHints(ctx, page.Jobs...)
	return page, nil
}

// pageBytes is how many bytes of arguments and results end a page: few jobs may be as large as very many.
const pageBytes = 4 << 20

// list reads a page in bites that are the smaller the larger the jobs are, and at most twice as large as the one before, for large jobs may
// come after small ones: neither the reply nor what is read for it grows without bound.
func (s *Server) list(ctx context.Context, q bellhop.Query) (*bellhop.Listing, error) {
	page, limit, size := &bellhop.Listing{Next: q.After}, q.Limit, 0
	q.Limit = min(limit, defaultPage)
	if !q.WithoutArgs {
		q.Limit = min(limit, 8)
	}
	for {
		q.After = page.Next
		some, err := s.client.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range some.Jobs {
			size += len(some.Jobs[i].Args) + len(some.Jobs[i].Place.Result) + 200 // of the rest
		}
		page.Jobs, page.Next, page.Examined = append(page.Jobs, some.Jobs...), some.Next, page.Examined+some.Examined
		n := len(page.Jobs)
		if some.Next == "" || len(some.Jobs) < q.Limit || n == limit || size >= pageBytes { // a search that has looked at enough ends it too
			return page, nil
		}
		q.Limit = min(limit-n, 2*q.Limit, max(1, (pageBytes-size)*n/size))
	}
}

// countRequest is GET /v1/jobs/count.
type countRequest struct {
	filter bellhop.Filter
	limit  int
}

// countParameters are the parameters of a count.
var countParameters = append([]string{"limit"}, filterParameters...)

func (in *countRequest) read(r *request) error {
	q, err := r.parameters(countParameters...)
	if err != nil {
		return err
	}
	in.filter, in.limit = q.filter(), q.number("limit", defaultCount, 1, maxCount)
	return q.err
}

// countReply answers a countRequest.
type countReply struct {
	Count  int  `json:"count"`
	Limit  int  `json:"limit"`
	Capped bool `json:"capped"` // there may be more
	// Examined is after how many jobs the count ended for it may look at no more; left out if the limit ended it, or nothing did.
	Examined int `json:"examined,omitempty"`
}

// countJobs is GET /v1/jobs/count.
func (s *Server) countJobs(ctx context.Context, in *countRequest) (*countReply, error) {
	filter, some, err := visible(ctx, in.filter)
	if err != nil || !some {
		return &countReply{Limit: in.limit}, err
	}
	t, err := s.client.Tally(ctx, filter, in.limit)
	if err != nil {
		return nil, err
	}
	return &countReply{Count: t.Count, Limit: in.limit, Capped: t.More, Examined: t.Examined}, nil
}

// addHints says what waiting jobs wait for, if that is unusual. It costs two calls, and only if there are any; if they fail, the
// jobs come without.
func (s *Server) addHints(ctx context.Context, jobs ...*Job) {
	var w *Workforce
	for _, j := range jobs {
		if !j.State.Waiting() {
			continue
		}
		if w == nil {
			var err error
			if w, err = FindWorkforce(ctx, s.client); err != nil {
				s.log.Debug("no hints about waiting jobs", bellhop.AttrError, err)
				return
			}
		}
		j.Hint = w.Hint(j.State, j.Kind, j.Queue)
	}
}
