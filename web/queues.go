package web

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// queues lists all queues, with what can be done to them.
func (s *Server) queues(v *view) (*page, error) {
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	t := v.queueTable(shot)
	return &page{name: "queues", title: "Queues", nav: "/queues", live: true, data: t, json: map[string]any{
		"at": shot.Now, "queues": jsonQueues(t.Rows), "next": t.Pager.Next,
	}}, nil
}

// jsonQueues is how lists of queues look as JSON.
func jsonQueues(rows []queueRow) []any {
	list := make([]any, len(rows))
	for i, q := range rows {
		r := q.rates()
		list[i] = map[string]any{
			"ended_per_second": r.PerSecond, "enqueued_per_second": r.Enqueued, "failed_5m": r.Failed, "error_rate": r.ErrorRate(),
			"wait_seconds": jsonQuantiles(&r.Wait), "run_seconds": jsonQuantiles(&r.Run),
			"queue": q.Queue, "paused": q.Paused, "ready": q.Ready, "running": q.Running, "scheduled": q.Scheduled, "dead": q.Dead, "limit": q.Limit,
			"oldest_seconds": q.Oldest.Seconds(), "processes": q.Processes, "concurrency": q.Concurrency, "slots": q.Slots, "busy": q.Busy, "hint": q.Hint,
		}
	}
	return list
}

func jsonQuantiles(s *rollup.Sketch) map[string]float64 {
	return map[string]float64{"p50": s.Quantile(0.5).Seconds(), "p95": s.Quantile(0.95).Seconds(), "p99": s.Quantile(0.99).Seconds()}
}

// queueData is what the page of a queue shows.
type queueData struct {
	Queue     queueRow
	Notes     []note
	Processes []processRow
	Charts    chartsData
}

// queue shows one queue.
func (s *Server) queue(v *view) (*page, error) {
	name := v.PathValue("queue")
	if name == "" {
		return s.queues(v)
	}
	if err := bellhop.CheckName("queue", name); err != nil {
		return nil, notFound("No queue can have this name: %v", err)
	}
	if err := v.need(access.Read, name); err != nil {
		return nil, err
	}
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	data := queueData{Queue: shot.queue(v.viewer, name)}
	for _, n := range shot.notesFor(v.viewer) {
		if n.Queue == name || n.Queue == "" && n.Level == levelProblem {
			data.Notes = append(data.Notes, n)
		}
	}
	if n, ok := queueNote(shot, &data.Queue); ok && len(data.Notes) == 0 {
		data.Notes = append(data.Notes, n)
	}
	known, err := s.knows(v.Context(), shot, name)
	if err != nil {
		return nil, err
	}
	if !known {
		data.Notes = append(data.Notes, note{
			Level: levelWarning, Queue: name, Text: "Nothing is known of a queue of this name",
			Advice: "No job of it waits, runs or is dead, no living process works it, and no worker has run one in two weeks. Is the name right?",
		})
	}
	for _, p := range v.viewer.Processes(shot.Processes) {
		for _, q := range p.Queues {
			if q == name {
				data.Processes = append(data.Processes, shot.rows([]bellhop.ProcessStatus{p})...)
			}
		}
	}
	if v.watched == nil && !v.wantsJSON() { // charts keep themselves up to date
		data.Charts.Source = s.url("/charts?queue=%s&range=1h", name)
		rng, err := s.reader.Last(v.Context(), rangeOf("1h").last)
		if err == nil {
			err = s.fillCharts(v, &data.Charts, rng, rollup.Series{Queue: name})
		}
		if err != nil {
			return nil, err
		}
	}
	return &page{name: "queue", title: "Queue " + name, nav: "/queues", live: true, data: data, json: jsonQueues([]queueRow{data.Queue})[0]}, nil
}

// knows reports whether anything is known of a queue: by the look at all, or else by what workers have counted in two weeks.
func (s *Server) knows(ctx context.Context, shot *snapshot, name string) (bool, error) {
	works := func(p bellhop.ProcessStatus) bool { return slices.Contains(p.Queues, name) }
	has := func(q queueRow) bool { return q.Queue == name }
	if slices.ContainsFunc(shot.queues, has) || slices.ContainsFunc(shot.Processes, works) || shot.Control.Concurrency(name) > 0 {
		return true, nil
	}
	rng, err := s.reader.Last(ctx, rollup.Longest)
	if err != nil {
		return false, err
	}
	table, err := s.reader.Table(ctx, rng, rollup.TableQuery{By: rollup.ByQueue, Only: rollup.Series{Queue: name}})
	if err != nil {
		return false, err
	}
	return len(table.Rows) > 0, nil
}

// actOnQueue pauses or resumes a queue, or says how many of its jobs run at once.
func (s *Server) actOnQueue(v *view) (*done, error) {
	name := v.PathValue("queue")
	e := audit.Entry{Action: shorten(v.PostForm.Get("action"), 40), Queue: name}
	if err := bellhop.CheckName("queue", name); err != nil {
		return nil, notFound("No queue can have this name: %v", err)
	}
	if err := v.allowed(access.Act, name, e); err != nil {
		return nil, err
	}
	d := &done{to: v.back("/queues/" + url.PathEscape(name))}
	var err error
	switch action := v.PostForm.Get("action"); action {
	case "pause":
		err = s.client.Pause(v.Context(), name)
		d.said = fmt.Sprintf("Queue %s is paused: nothing of it is claimed; what runs goes on.", name)
	case "resume":
		err = s.client.Resume(v.Context(), name)
		d.said = fmt.Sprintf("Queue %s goes on.", name)
	case "concurrency":
		text := strings.TrimSpace(v.PostForm.Get("concurrency"))
		n, bad := strconv.Atoi(cmp.Or(text, "0"))
		if bad != nil {
			return nil, badInput("the concurrency %.20q is no number: want 1 or more, or 0 for what each process has set", text)
		}
		err = control.SetConcurrency(v.Context(), s.client.Store(), name, n, v.viewer.Name)
		e.Reason = "to " + strconv.Itoa(n)
		d.said = fmt.Sprintf("Each process runs at most %s of queue %s at once: within half a minute, as what runs ends.", plural(n, "job"), name)
		if n == 0 {
			d.said = fmt.Sprintf("Each process goes by its own setting for queue %s again.", name)
		}
	default:
		return nil, badInput("the action %.20q is unknown: want pause, resume or concurrency", action)
	}
	s.live.forget()
	return d, v.acted(e, err)
}
