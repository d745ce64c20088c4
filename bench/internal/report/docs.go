package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WriteDocs writes benchmarks.md and its charts into a folder of documentation.
func (r *Report) WriteDocs(folder string) error {
	charts := filepath.Join(folder, "benchmarks")
	if err := os.MkdirAll(charts, 0o755); err != nil {
		return err
	}
	for _, c := range r.charts() {
		if err := os.WriteFile(filepath.Join(charts, c.name), []byte(c.SVG()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "benchmarks.md"), []byte(r.Markdown()), 0o644)
}

// namedChart is a chart and its file.
type namedChart struct {
	name string
	Chart
}

// charts returns those that have something to show.
func (r *Report) charts() (list []namedChart) {
	const rates = "No-op jobs a second, median of the runs; the thin line is the range. Dashed: the least that a program by hand can do."
	for _, c := range []namedChart{
		{"drain.svg", r.RateChart("drain", "Working off jobs that wait", rates)},
		{"enqueue.svg", r.RateChart("enqueue-64", "Single enqueues from 64 goroutines, each durable on return", rates)},
		{"bulk.svg", r.RateChart("bulk", "Enqueueing in bulk", rates)},
		{"latency.svg", r.LatencyChart("From enqueue to start on an idle system",
			"The dot is the median, the line ends at the 99th percentile; a scale of powers of ten.")},
	} {
		if len(c.Panels) > 0 {
			list = append(list, c)
		}
	}
	return list
}

const docsHead = `# Benchmarks

Bellhop, the others, and the least that a program written by hand can do, side by side in one run. This page and its charts are written by the
benchmark itself:

` + "```" + `
go -C bench run . --write ../docs
` + "```" + `

It starts private servers from the installed packages (PostgreSQL, MariaDB, Redis), installs the Node packages that ` + "`bench/foreign/package.json`" + ` pins into
a cache folder, and leaves out in one line what is not there. ` + "`--help`" + ` lists the flags; ` + "`--json`" + ` prints a line for each figure and each target.

`

const docsMethod = `## Method, and what these figures do not say

- A job does nothing and carries 48 bytes of JSON, which its handler decodes. Real jobs take longer than all of this; what is measured is the cost of
  having them looked after.
- Every run has an empty database and a process of its own, filled by another process, then settled: ` + "`VACUUM ANALYZE`" + ` and a checkpoint, or what the store
  has in their place. A drain is timed from the start of the worker to the last completion *in the store*; an enqueue until its call returns.
- Each run is checked: every job ran exactly once, none is left, and where finished jobs are kept, all of them are. A run that fails this does not count,
  and is named below.
- Contenders take turns, forwards and backwards; a first, smaller round warms up and is thrown away. Figures are medians; "±" is half the range over the median.
- Slow contenders get fewer jobs, so that a run takes about as long for all ("jobs a run"). That favours them a little, since young tables are fast.
- Clients and server share the machine. That favours whoever uses little processor time on either side, as in life; the columns of processor time say how much.
- Settings are the best that we found in each product's documentation, and its defaults, each printed below. Who thinks that a setting is unfair
  finds it in one file a contender in ` + "`bench/internal/peer`" + `.
- Bellhop runs at its defaults throughout: no setting made it faster. (On Redis it is told to keep all finished jobs, as on the
  other stores, instead of the last 100,000, so that they can be counted.) So each peer's best and its defaults are compared with the same figures of ours.
- "Bellhop is" compares like with like: finished jobs kept by both or dropped by both. Products that cannot keep finished jobs are compared with
  Bellhop dropping them, and where a target says so also with Bellhop keeping them. River cannot drop them at once.
- How fast the disk here is at fsync stands below. What commits once for each job loses more on a slower disk; what commits in batches hardly changes.
- The hand-written minimum claims and acknowledges in batches and keeps history and a record of the attempt, and has nothing else: no retries, due times, uniqueness, leases,
  priorities, or wake-ups. No product can reach all of it. A variant keeps nothing.
- A difference below 1.3 × in rate means nothing here. Where a target is that near, nine interleaved pairs decide, by the processor time a job of client and server together,
  or by rate: a target that the medians miss still holds if it lies within or below the 95 % interval. An interval that is wider than that noise to both sides
  decides nothing.
- commits/job are transactions as the server counts them (Redis: commands); log B/job are bytes of WAL, of redo log and binlog, of the append-only file, or for SQLite all that the
  process wrote; buffers/job are pages looked at.
- We wrote the contest and take part in it. The programs are in the repository; run them.

`

// Markdown returns the page.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, c := range r.charts() {
		fmt.Fprintf(&b, "![%s](benchmarks/%s)\n\n", c.Title, c.name)
	}
	if t := r.TargetTable(); len(t.Rows) > 0 {
		b.WriteString("## Targets\n\nRatios of one run, like against like.\n\n" + t.markdown() + "\n")
	}
	if t := r.WaitTable(); len(t.Rows) > 0 {
		b.WriteString("From before the enqueue to the handler, on an idle system:\n\n" + t.markdown() + "\n")
	}
	b.WriteString(docsMethod)
	b.WriteString("This run:\n\n")
	for _, line := range append(append([]string{}, r.Machine...), r.Method...) {
		b.WriteString("- " + line + "\n")
	}
	last := ""
	for _, g := range r.Groups {
		if g.Store != last {
			r.storeMarkdown(&b, g.Store)
			last = g.Store
		}
		fmt.Fprintf(&b, "### %s: %s\n\n%s\n", StoreTitle(g.Store), g.Title, r.Table(g).markdown())
	}
	if len(r.Notes) > 0 {
		b.WriteString("## Left out, or failed\n\n")
		for _, note := range r.Notes {
			b.WriteString("- " + note + "\n")
		}
	}
	return b.String()
}

func (r *Report) storeMarkdown(b *strings.Builder, store string) {
	fmt.Fprintf(b, "\n## %s\n\n", StoreTitle(store))
	for _, line := range r.Stores[store] {
		b.WriteString("- " + line + "\n")
	}
	b.WriteString("\n| contender | version | settings |\n| --- | --- | --- |\n")
	for _, c := range r.Contenders {
		if c.Store == store {
			fmt.Fprintf(b, "| %s | %s | %s |\n", c.Title, c.Version, c.Settings)
		}
	}
	b.WriteString("\n")
}
