package run

import (
	"fmt"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
	"github.com/gobellhop/bellhop/bench/internal/peer"
	"github.com/gobellhop/bellhop/bench/internal/report"
)

// Group is a table: entrants that run interleaved and are compared with each other.
type Group struct {
	Store, Name, Title string
	Entrants           []*Entrant
}

func (g Group) result(e *Entrant) *report.Result {
	c := e.Contender
	res := &report.Result{
		Store: g.Store, Group: g.Name, Task: e.Task, Contender: c.Name, Family: c.Family, Title: c.Title, Keeps: c.Keeps, Default: c.Default,
		Samples: e.samples,
	}
	if e.fault != nil {
		res.Fault, res.Samples = e.fault.Error(), nil
	}
	return res
}

// builder makes the groups of one store.
type builder struct {
	r      *Runner
	store  string
	groups []Group
}

// groups returns what is to be measured on a store.
func (r *Runner) groups(store string) []Group {
	b := &builder{r: r, store: store}
	if store == "memory" {
		b.add("worker", "The worker alone: no-op jobs on store/memory", b.each(b.contenders(best), "worker", Entrant{Order: drill.Order{Action: drill.Worker}}))
		return b.groups
	}
	if r.Short {
		b.short()
		return b.groups
	}
	server := store != "sqlite"
	drains := b.each(b.contenders(all), "drain", drain())
	for _, e := range drains {
		e.Full = e.Contender.Name == "bellhop"
	}
	b.add("drain", "Drain", drains)
	for _, callers := range []int{1, 16, 64} {
		task := fmt.Sprintf("enqueue-%d", callers)
		choice := best
		if callers == 64 {
			choice = func(c peer.Contender) bool { return best(c) || c.Weaker && !c.Default }
		}
		title := fmt.Sprintf("Single enqueues from %d goroutines", callers)
		if callers == 1 {
			title = "Single enqueues, one after the other"
		}
		b.add(task, title, b.each(b.contenders(choice), task, Entrant{
			Order: drill.Order{Action: drill.Enqueue, Callers: callers, Seconds: r.Enqueue.Seconds()},
		}))
	}
	b.add("bulk", "Bulk enqueue", b.each(b.contenders(best), "bulk", Entrant{Order: drill.Order{Action: drill.Bulk, Seconds: r.Enqueue.Seconds()}}))
	b.add("sustained", "Enqueue from 64 goroutines and work, together", b.each(b.contenders(func(c peer.Contender) bool { return best(c) && products(c) }), "sustained", Entrant{
		Order: drill.Order{Action: drill.Sustain, Callers: 64, Seconds: r.Enqueue.Seconds()},
	}))
	b.add("latency", "From enqueue to start on an idle system, one job every 10 ms", b.each(b.contenders(products), "latency", Entrant{
		Order: drill.Order{Action: drill.Latency},
	}))
	b.across("From enqueue in one process to start in another, on an idle system")
	if server {
		for _, ms := range []int{1, 2} {
			e := drain()
			e.RoundTrip = time.Duration(ms) * time.Millisecond
			task := fmt.Sprintf("drain-%dms", ms)
			far := b.each(b.contenders(best), task, e)
			for _, e := range far {
				e.Full = e.Contender.Name == "bellhop"
			}
			b.add(task, fmt.Sprintf("Drain over a round trip that is %d ms longer", ms), far)
		}
	}
	b.beside()
	b.backlog()
	if store == "postgres" || store == "mysql" {
		b.snapshot()
	}
	return b.groups
}

// short is a little of everything.
func (b *builder) short() {
	some := func(c peer.Contender) bool { return best(c) || c.Name == "minimum-drop" }
	b.add("drain", "Drain", b.each(b.contenders(some), "drain", drain()))
	b.add("enqueue-16", "Single enqueues from 16 goroutines", b.each(b.contenders(best), "enqueue-16", Entrant{
		Order: drill.Order{Action: drill.Enqueue, Callers: 16, Seconds: b.r.Enqueue.Seconds()},
	}))
	own := b.contenders(func(c peer.Contender) bool { return c.Name == "bellhop" })
	b.add("bulk", "Bulk enqueue", b.each(own, "bulk", Entrant{Order: drill.Order{Action: drill.Bulk, Seconds: b.r.Enqueue.Seconds()}}))
	b.add("sustained", "Enqueue and work, together", b.each(own, "sustained", Entrant{
		Order: drill.Order{Action: drill.Sustain, Callers: 8, Seconds: b.r.Enqueue.Seconds()},
	}))
	b.add("latency", "From enqueue to start", b.each(own, "latency", Entrant{Order: drill.Order{Action: drill.Latency}}))
	b.across("From enqueue in one process to start in another")
	if b.store != "sqlite" {
		e := drain()
		e.RoundTrip = time.Millisecond
		b.add("drain-1ms", "Drain over a round trip that is 1 ms longer", b.each(own, "drain-1ms", e))
	}
	b.backlog()
}

func drain() Entrant { return Entrant{Order: drill.Order{Action: drill.Drain}} }

// Choices of contenders.
func all(peer.Contender) bool { return true }

func best(c peer.Contender) bool {
	return !c.Default && !c.DrainOnly && !c.Weaker && (c.Keeps || c.KeepsNone())
}

func products(c peer.Contender) bool {
	return c.Family != "minimum" && (c.Default || best(c))
}
func ours(c peer.Contender) bool { return c.Name == "bellhop" || c.Name == "river" }

func (b *builder) contenders(choice func(peer.Contender) bool) []peer.Contender {
	var list []peer.Contender
	for _, c := range peer.All() {
		if c.Store == b.store && choice(c) && (c.Program == "" || b.r.foreign.runs(c.Program)) {
			list = append(list, c)
		}
	}
	return list
}

// each gives every contender the same task.
func (b *builder) each(list []peer.Contender, task string, e Entrant) []*Entrant {
	var entrants []*Entrant
	for _, c := range list {
		e := e
		e.Task, e.Contender = task, c
		entrants = append(entrants, &e)
	}
	return entrants
}

func (b *builder) add(name, title string, entrants []*Entrant) {
	g := Group{Store: b.store, Name: name, Title: title}
	for _, e := range entrants {
		if b.r.wanted(b.store, name, e.Contender.Name) {
			g.Entrants = append(g.Entrants, e)
		}
	}
	if len(g.Entrants) > 0 {
		b.groups = append(b.groups, g)
	}
}

// across times jobs from process to process. Where the worker has to poll they come so slowly that each finds it idle.
func (b *builder) across(title string) {
	e := Entrant{Order: drill.Order{Action: drill.Across, Every: 0.05}}
	if b.store == "mysql" {
		e.Order.Every = 0.8
	}
	b.add("across", title, b.each(b.contenders(func(c peer.Contender) bool { return c.Name == "bellhop" }), "across", e))
}

// beside compares a drain with drains beside jobs that are not to be worked.
func (b *builder) beside() {
	var entrants []*Entrant
	list := b.contenders(ours)
	alone := drain()
	alone.Churned = true // its database is kept like the others
	entrants = append(entrants, b.each(list, "drain-alone", alone)...)
	for _, mark := range []string{drill.Paused, drill.Future, drill.Unknown} {
		e := drain()
		e.Beside, e.BesideJobs = mark, b.r.Beside
		entrants = append(entrants, b.each(list, "drain-"+mark, e)...)
	}
	b.add("beside", fmt.Sprintf("Drain beside %d jobs that are not to be worked", b.r.Beside), entrants)
}

// backlog compares drains of equal size out of a short and a long backlog.
func (b *builder) backlog() {
	var entrants []*Entrant
	short, long := drain(), drain()
	short.Backlog, long.Backlog = b.r.Backlog/100, b.r.Backlog
	list := b.contenders(func(c peer.Contender) bool { return c.Name == "bellhop" })
	entrants = append(entrants, b.each(list, "backlog-short", short)...)
	entrants = append(entrants, b.each(list, "backlog-long", long)...)
	b.add("backlog", fmt.Sprintf("Drain out of a backlog of %d and of %d", b.r.Backlog/100, b.r.Backlog), entrants)
}

// snapshot compares drains while another session holds an old snapshot with drains of databases of the same past.
func (b *builder) snapshot() {
	free, pinned := drain(), drain()
	free.Churned, pinned.Pinned = true, true
	list := b.contenders(func(c peer.Contender) bool { return ours(c) || c.Name == "minimum" })
	entrants := append(b.each(list, "snapshot-none", free), b.each(list, "snapshot-held", pinned)...)
	for _, e := range entrants {
		e.Full = e.Contender.Name == "bellhop" // many jobs for one worker: a short run would show little but its first look
	}
	b.add("snapshot", "Drain while another session holds an old snapshot", entrants)
}
