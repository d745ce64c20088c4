package api

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/redact"
	"github.com/gobellhop/bellhop/internal/rollup"
)

const (
	// lastHour is the range of metrics if none is given.
	lastHour = time.Hour
	// metricsRows is how many rows and groups of failures are told if nothing is said, and mostMetricsRows how many can be asked for.
	metricsRows     = 100
	mostMetricsRows = 1000
)

var metricsParameters = []string{"since", "from", "to", "step", "queue", "kind", "by", "failures", "limit"}

// metricsRequest asks for the figures of a range.
type metricsRequest struct {
	since    time.Duration
	from, to time.Time
	step     time.Duration
	series   rollup.Series
	by       rollup.By
	rows     bool
	failures bool
	limit    int
}

// metricsBy names the tables.
var metricsBy = map[string]rollup.By{"queue": rollup.ByQueue, "kind": rollup.ByKind, "queue_and_kind": rollup.ByQueueAndKind}

func (in *metricsRequest) read(r *request) error {
	q, err := r.parameters(metricsParameters...)
	if err != nil {
		return err
	}
	in.since, in.step = q.duration("since", time.Minute, rollup.Longest), q.duration("step", time.Minute, 24*time.Hour)
	in.from, in.to = q.time("from"), q.time("to")
	in.series = rollup.Series{Queue: q.name("queue"), Kind: q.name("kind")}
	if by := q.one("by"); by != "" {
		if in.by, in.rows = metricsBy[by]; !in.rows {
			q.refuse("by", "%.40q: want queue, kind or queue_and_kind", by)
		}
	}
	in.failures = q.flag("failures")
	in.limit = q.number("limit", metricsRows, 1, mostMetricsRows)
	switch {
	case in.since != 0 && !in.from.IsZero():
		q.refuse("since", "give since or from, not both")
	case in.since != 0 && !in.to.IsZero(), in.from.IsZero() && !in.to.IsZero():
		q.refuse("to", "it goes with from")
	}
	return q.err
}

// duration returns a length of time within its bounds; 0 if it is not given.
func (q *parameters) duration(name string, low, high time.Duration) time.Duration {
	text := q.one(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < low || d > high {
		q.refuse(name, "%.40q is out of range: want a length of time from %v to %v, such as 90m", text, low, high)
		return 0
	}
	return d
}

// name returns a queue or kind; empty if it is not given.
func (q *parameters) name(what string) string {
	name := q.one(what)
	if name != "" && name != rollup.Other {
		if err := bellhop.CheckName(what, name); err != nil {
			q.refuse(what, "%s", strings.TrimPrefix(err.Error(), what+" "))
		}
	}
	return name
}

// metricsReply answers GET /v1/metrics.
type metricsReply struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Now         time.Time `json:"now"`
	StepSeconds float64   `json:"step_seconds"`
	rollup.SeriesFigures
	Points   []rollup.PointFigures  `json:"points"`
	Rows     []rollup.SeriesFigures `json:"rows,omitempty"`
	Failures []rollup.FailureGroup  `json:"failures,omitempty"`
	// Rest counts failures that are in no group.
	Rest int64 `json:"failures_in_no_group,omitempty"`
	// More says that there are more rows or groups than were asked for.
	More  bool          `json:"more,omitempty"`
	Marks []rollup.Mark `json:"marks"`
}

// allowed returns why the viewer may not see these figures, or nil. Groups of failures are of all queues.
func (in *metricsRequest) allowed(ctx context.Context) error {
	v := access.From(ctx)
	if in.series.Queue == "" || in.failures {
		return v.AllowAll(access.Read)
	}
	return v.Allow(access.Read, in.series.Queue)
}

// getMetrics is GET /v1/metrics: it reads what workers have counted, never jobs.
func (s *Server) getMetrics(ctx context.Context, in *metricsRequest) (*metricsReply, error) {
	if err := in.allowed(ctx); err != nil {
		return nil, err
	}
	from := in.from
	if from.IsZero() {
		now, err := s.rollups.Now(ctx)
		if err != nil {
			return nil, err
		}
		from = now.Add(-cmp.Or(in.since, lastHour))
	}
	rng, err := s.rollups.Between(ctx, from, in.to, in.step)
	if err != nil {
		return nil, err
	}
	chart, err := s.rollups.Chart(ctx, rng, in.series)
	if err != nil {
		return nil, err
	}
	out := &metricsReply{
		From: rng.From, To: rng.To, Now: rng.Now, StepSeconds: rng.Step.Seconds(), Points: chart.PointFigures(),
		SeriesFigures: rollup.SeriesFigures{Queue: in.series.Queue, Kind: in.series.Kind, Figures: chart.Total.Figures()},
	}
	if in.rows {
		table, err := s.rollups.Table(ctx, rng, rollup.TableQuery{By: in.by, Only: in.series, Order: rollup.ByAttempts, Limit: in.limit})
		if err != nil {
			return nil, err
		}
		out.More = table.More > 0
		for i := range table.Rows {
			out.Rows = append(out.Rows, table.Rows[i].SeriesFigures())
		}
	}
	if in.failures {
		found, err := s.rollups.Failures(ctx, rng, in.series.Kind)
		if err != nil {
			return nil, err
		}
		out.More = out.More || len(found.Groups) > in.limit
		out.Failures, out.Rest = found.Groups[:min(len(found.Groups), in.limit)], found.Rest
		if err := s.rollups.Describe(ctx, rng, out.Failures); err != nil {
			return nil, err
		}
		for i := range out.Failures {
			g := &out.Failures[i]
			g.Pattern, g.Sample = redact.Text(g.Pattern), redact.Text(g.Sample)
		}
	}
	out.Marks, err = s.rollups.Marks(ctx, rng.From, rng.To)
	return out, err
}
