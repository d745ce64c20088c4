package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rowsPerPage is how many queues a page lists.
const rowsPerPage = 50

// queueTable is a page of queues, filtered and sorted as the address says.
type queueTable struct {
	Rows    []queueRow
	Filter  string
	Show    string // "trouble": those with something wrong
	Columns []column
	Total   int // queues that there are
	Found   int // that match
	Pager   pager
}

// column heads a table's column; its link sorts by it.
type column struct {
	Name, Label, Title, Link string
	Sorted                   string // "ascending", "descending" or ""
	Number                   bool
}

// pager leads through the pages of a list. Empty links are not there.
type pager struct {
	First, Previous, Next string
	Text                  string // "51–100 of 1,000 queues"
}

var queueColumns = []column{
	{Name: "name", Label: "Queue"},
	{Name: "ready", Label: "Ready", Title: "Jobs that may run now", Number: true},
	{Name: "running", Label: "Running", Title: "Jobs that run", Number: true},
	{Name: "scheduled", Label: "Scheduled", Title: "Jobs that are due later: first runs, retries, snoozes", Number: true},
	{Name: "failing", Label: "Failing", Title: "Attempts that failed within the last 5 minutes", Number: true},
	{Name: "dead", Label: "Dead", Title: "Jobs that failed for good and wait for a person", Number: true},
	{Name: "oldest", Label: "Oldest", Title: "How long the oldest ready job has waited", Number: true},
	{Name: "rate", Label: "Throughput", Title: "Jobs that ended, over the last 5 minutes; the line shows the last hour", Number: true},
	{Name: "errors", Label: "Errors", Title: "The part of the attempts of the last 5 minutes that failed", Number: true},
	{Name: "wait", Label: "Wait", Title: "From due to start: p50, p95 and p99 of the last 5 minutes; sorted by p95", Number: true},
	{Name: "run", Label: "Run", Title: "From start to end: p50, p95 and p99 of the last 5 minutes; sorted by p95", Number: true},
}

// queueTable reads filter, order and page from the address. Whatever it says, there is a table.
func (v *view) queueTable(shot *snapshot) queueTable {
	all := shot.visible(v.viewer)
	t := queueTable{Filter: strings.TrimSpace(v.param("q")), Show: v.param("show"), Total: len(all)}
	rows := make([]queueRow, 0, len(all))
	for _, q := range all {
		if t.Filter != "" && !strings.Contains(strings.ToLower(q.Queue), strings.ToLower(t.Filter)) {
			continue
		}
		if _, trouble := queueNote(shot, &q); t.Show == "trouble" && !trouble {
			continue
		}
		rows = append(rows, q)
	}
	by, descending := strings.CutPrefix(v.param("sort"), "-")
	if !slices.ContainsFunc(queueColumns, func(c column) bool { return c.Name == by }) {
		by, descending = "name", false
	}
	sortRows(rows, by, descending)
	for _, c := range queueColumns {
		first, second := "-"+c.Name, c.Name // numbers begin with the greatest
		if !c.Number {
			first, second = second, first
		}
		c.Link = v.with("sort", first)
		if c.Name == by {
			if c.Sorted = "ascending"; descending {
				c.Sorted = "descending"
			}
			if (first[0] == '-') == descending {
				c.Link = v.with("sort", second)
			}
		}
		t.Columns = append(t.Columns, c)
	}
	t.Found = len(rows)
	from, to, p := v.paginate(len(rows), "queue")
	t.Rows, t.Pager = rows[from:to], p
	return t
}

// checkPage refuses a parameter page that is none. It may be too high, for lists become shorter while one reads them.
func (v *view) checkPage() error {
	if text := v.param("page"); text != "" {
		if at, err := strconv.Atoi(text); err != nil || at < 1 {
			return badInput("the page %.20q is none: want a number from 1 on", text)
		}
	}
	return nil
}

// paginate reads the parameter page and returns the range of a list that is on it.
func (v *view) paginate(n int, noun string) (from, to int, p pager) {
	last := max(1, (n+rowsPerPage-1)/rowsPerPage)
	at, _ := strconv.Atoi(v.param("page")) // it was looked at: see checkPage
	at = min(max(at, 1), last)
	from, to = (at-1)*rowsPerPage, min(at*rowsPerPage, n)
	if last == 1 {
		return from, to, pager{Text: plural(n, noun)}
	}
	p.Text = strconv.Itoa(from+1) + "–" + strconv.Itoa(to) + " of " + plural(n, noun)
	if at > 1 {
		p.First, p.Previous = v.with(), v.with("page", strconv.Itoa(at-1))
	}
	if at < last {
		p.Next = v.with("page", strconv.Itoa(at+1))
	}
	return from, to, p
}

// sortRows sorts by a column; equal ones by name.
func sortRows(rows []queueRow, by string, descending bool) {
	slices.SortFunc(rows, func(a, b queueRow) int {
		c := 0
		switch by {
		case "ready":
			c = cmp.Compare(a.Ready, b.Ready)
		case "running":
			c = cmp.Compare(a.Running, b.Running)
		case "scheduled":
			c = cmp.Compare(a.Scheduled, b.Scheduled)
		case "dead":
			c = cmp.Compare(a.Dead, b.Dead)
		case "oldest":
			c = cmp.Compare(a.Oldest, b.Oldest)
		case "failing":
			c = cmp.Compare(a.rates().Failed, b.rates().Failed)
		case "rate":
			c = cmp.Compare(a.rates().PerSecond, b.rates().PerSecond)
		case "errors":
			c = cmp.Compare(a.rates().ErrorRate(), b.rates().ErrorRate())
		case "wait":
			c = cmp.Compare(a.rates().Wait.Quantile(0.95), b.rates().Wait.Quantile(0.95))
		case "run":
			c = cmp.Compare(a.rates().Run.Quantile(0.95), b.rates().Run.Quantile(0.95))
		default:
			c = cmp.Compare(a.Queue, b.Queue)
		}
		if descending {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.Queue, b.Queue))
	})
}

// rates returns what is known of the queue's rates, zeros if nothing is.
func (q *queueRow) rates() *queueRates {
	if q.Rates == nil {
		return &queueRates{}
	}
	return q.Rates
}

// overviewData is what the overview shows.
type overviewData struct {
	Notes  []note
	Totals totals
	Queues queueTable
}

// totals sum up all queues that a viewer may see.
type totals struct {
	Ready, Running, Scheduled, Dead int
	Capped                          bool // some queue may have more than was counted
	Oldest                          time.Duration
	OldestQueue                     string
	Processes, Slots, Busy          int
	Rates                           *queueRates
}

// overview is the first page: what there is to do, and what is wrong.
func (s *Server) overview(v *view) (*page, error) {
	shot, err := v.needSnapshot()
	if err != nil {
		return nil, err
	}
	data := overviewData{Notes: shot.notesFor(v.viewer), Totals: shot.totals(v), Queues: v.queueTable(shot)}
	return &page{name: "overview", title: "Overview", nav: "/", data: data, live: true, json: map[string]any{
		"at": shot.Now, "notes": data.Notes, "queues": jsonQueues(data.Queues.Rows), "next": data.Queues.Pager.Next,
	}}, nil
}

func (shot *snapshot) totals(v *view) totals {
	processes := v.viewer.Processes(shot.Processes)
	t := totals{Processes: len(processes), Rates: &queueRates{}}
	for _, q := range shot.visible(v.viewer) {
		t.Ready, t.Running, t.Scheduled, t.Dead = t.Ready+q.Ready, t.Running+q.Running, t.Scheduled+q.Scheduled, t.Dead+q.Dead
		t.Capped = t.Capped || q.More(max(q.Ready, q.Running, q.Scheduled, q.Dead))
		t.Rates.add(q.Rates)
		if q.Oldest > t.Oldest {
			t.Oldest, t.OldestQueue = q.Oldest, q.Queue
		}
	}
	for _, p := range processes {
		t.Slots, t.Busy = t.Slots+p.Slots, t.Busy+p.Busy
	}
	return t
}
