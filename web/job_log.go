package web

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/jsonview"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// logLine is one line of an attempt's log as the page shows it.
type logLine struct {
	Skipped      int    // lines before it that are left out
	After, At    string // since the start, and exactly
	Level, Class string
	Message      template.HTML
	Attrs        []metaRow
}

// traceID is the id of a trace in W3C Trace Context.
var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// log shows what an attempt has left behind. What cannot be read is left out: another program has written it.
func (r *attemptRow) log(s *Server) {
	var log bellhop.Log
	if len(r.Attempt.Log) == 0 || json.Unmarshal(r.Attempt.Log, &log) != nil {
		return
	}
	if traceID.MatchString(log.Trace) {
		r.Trace = log.Trace
		if s.opts.Links.Trace != "" {
			r.TraceURL = strings.ReplaceAll(s.opts.Links.Trace, "{trace}", log.Trace)
		}
	}
	for i := range log.Lines {
		l := &log.Lines[i]
		line := logLine{Skipped: l.Skipped, After: "+" + took(max(l.Time.Sub(r.Started), 0)), At: exact(l.Time), Level: l.Level.String(), Class: levelClass(l.Level)}
		line.Message, _ = jsonview.Text(l.Message, maxShownText)
		for _, a := range l.Attrs {
			key, _ := jsonview.Text(a.Key, 256)
			value, _ := jsonview.Text(a.Value, maxShownText)
			line.Attrs = append(line.Attrs, metaRow{key, value})
		}
		r.Lines = append(r.Lines, line)
	}
}

// levelClass is the look of a level.
func levelClass(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "log-error"
	case l >= slog.LevelWarn:
		return "log-warn"
	case l < slog.LevelInfo:
		return "log-debug"
	}
	return "log-info"
}

// runTimes is how long jobs alike have run of late, and where the newest attempt of this one lies.
type runTimes struct {
	Drawing       template.HTML
	Text          string // the same in words
	P50, P95, P99 time.Duration
	Count         int
}

// runsOver is the time whose runs the page of a job draws.
const runsOver = 24 * time.Hour

// runTimes reads the run times of the job's kind in its queue; nil if nothing of it has run. That the rollups cannot be read is said in
// the log, and the page goes without.
func (s *Server) runTimes(ctx context.Context, job *bellhop.Snapshot) *runTimes {
	rng, err := s.reader.Last(ctx, runsOver)
	table := &rollup.Table{}
	if err == nil {
		table, err = s.reader.Table(ctx, rng, rollup.TableQuery{Only: rollup.Series{Queue: job.Queue, Kind: job.Kind}})
	}
	if err != nil {
		s.log.Warn("the run times of a kind could not be read; the page of a job goes without", bellhop.AttrKind, job.Kind, bellhop.AttrError, err.Error())
		return nil
	}
	if len(table.Rows) == 0 || table.Rows[0].Run.Count() == 0 {
		return nil
	}
	run := &table.Rows[0].Run
	t := &runTimes{Count: int(run.Count()), P50: run.Quantile(0.5), P95: run.Quantile(0.95), P99: run.Quantile(0.99)}
	own := time.Duration(-1)
	for _, a := range slices.Backward(job.History) {
		if a.Number > 0 && a.Outcome != bellhop.OutcomeSwept { // of those nobody knows how long they ran
			own = max(a.Ended.Sub(a.Started), 0)
			t.Text = fmt.Sprintf("Attempt %d ran %s: %s.", a.Number, took(own), standing(run, own))
			break
		}
	}
	t.Drawing = histogram(run, own)
	return t
}

// standing says in words where a run time lies among others.
func standing(run *rollup.Sketch, own time.Duration) string {
	var shorter int64
	run.Buckets(func(_, high time.Duration, n int64) {
		if high <= own {
			shorter += n
		}
	})
	part := float64(shorter) / float64(run.Count())
	switch {
	case part < 0.005:
		return "as short as the shortest"
	case part > 0.995:
		return "as long as the longest"
	}
	return "longer than " + percent(part) + " of all"
}
