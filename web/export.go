package web

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

const (
	exportedJobs   = 100_000         // at most in one export
	exportPage     = 500             // jobs that are asked for at a time
	exportPageArgs = 100             // with their arguments
	exportFor      = 5 * time.Minute // for one export
	maxExports     = 4               // at a time in a process,
	ownExports     = 2               // and of one viewer
)

// exportColumns are the columns of a CSV export.
var exportColumns = []string{
	"id", "kind", "queue", "state", "priority", "attempt", "failures", "attempts", "enqueued_at", "due", "claimed_at", "finished_at", "tags", "error", "reason", "args",
}

// export streams the jobs that match the filter, newest first, as CSV or as one JSON text a line, without their secrets. It is
// bounded, and its last line says so where it was cut. Between its pages it leaves the store as much time as they took.
func (s *Server) export(v *view) error {
	r := v.readFilter("format", "args")
	if len(r.Problems) > 0 {
		return badInput("%s: %s", r.Problems[0].Name, r.Problems[0].Text)
	}
	format := v.param("format")
	if format != "csv" && format != "ndjson" {
		return badInput("the format %.20q is unknown: want csv or ndjson", format)
	}
	if !s.exports.begin(v.viewer.Name) {
		return &problem{
			status: http.StatusServiceUnavailable, title: "Too many exports are under way", retry: "30",
			detail: fmt.Sprintf("This process makes at most %d at a time, %d of them for one viewer.", maxExports, ownExports),
		}
	}
	defer s.exports.end(v.viewer.Name)
	e := &exporter{s: s, v: v, to: &pacedWriter{pace: s.pace, to: v.w, control: http.NewResponseController(v.w)}}
	e.query = bellhop.Query{Filter: r.Filter, Limit: exportPage, WithoutArgs: v.param("args") == "", WithLast: true}
	if !e.query.WithoutArgs {
		e.query.Limit = exportPageArgs
	}
	first, err := s.list(v, e.query) // so that what fails at once has a page that says so
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="jobs-%s.%s"`, v.now().UTC().Format("20060102-150405"), format))
	e.out = bufio.NewWriterSize(e.to, 32<<10)
	if format == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		e.rows = csv.NewWriter(e.out)
		e.rows.Write(exportColumns) //nolint:errcheck // an error stays with the writer, and is asked for at each page's end
	} else {
		h.Set("Content-Type", "application/x-ndjson")
	}
	if err := e.stream(first); err != nil {
		if v.Context().Err() == nil {
			s.log.Info("an export was cut off", "who", bellhop.CleanText(v.viewer.Name, 64), "jobs", e.n, bellhop.AttrError, err)
		}
		panic(http.ErrAbortHandler) // so that nobody takes it for whole
	}
	return nil
}

// exports counts those under way, of all viewers and of each.
type exports struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

func (x *exports) begin(viewer string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all >= maxExports || x.of[viewer] >= ownExports {
		return false
	}
	if x.of == nil {
		x.of = map[string]int{}
	}
	x.all++
	x.of[viewer]++
	return true
}

func (x *exports) end(viewer string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all--
	if x.of[viewer]--; x.of[viewer] == 0 {
		delete(x.of, viewer)
	}
}

// exporter writes one export.
type exporter struct {
	s     *Server
	v     *view
	query bellhop.Query
	to    *pacedWriter
	out   *bufio.Writer
	rows  *csv.Writer // nil: JSON lines
	n     int
}

// stream writes page after page until the end or a bound. The error is the reader's: he is gone, or too slow.
func (e *exporter) stream(l *bellhop.Listing) error {
	began := time.Now()
	for {
		asked := time.Now()
		for i := range l.Jobs {
			if e.n == exportedJobs {
				return e.cut(fmt.Sprintf("cut after %d jobs: narrow the filter for the rest", e.n))
			}
			e.n++
			e.job(&l.Jobs[i])
		}
		if err := e.flush(); err != nil {
			return err
		}
		switch {
		case l.Next == "":
			return nil
		case time.Since(began) > exportFor:
			return e.cut(fmt.Sprintf("cut after %v: narrow the filter for the rest", exportFor))
		}
		e.query.After = l.Next
		var err error
		if l, err = e.s.list(e.v, e.query); err != nil {
			e.s.log.Error("an export failed", "jobs", e.n, bellhop.AttrError, err)
			return e.cut("cut, because the store failed: try again")
		}
		select {
		case <-time.After(time.Since(asked)):
		case <-e.v.Context().Done():
			return e.v.Context().Err()
		case <-e.s.draining:
			return e.cut("cut, because the server stops: try again")
		}
	}
}

func (e *exporter) flush() error {
	if e.rows != nil {
		e.rows.Flush()
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	return e.to.Flush()
}

// cut says in a last line that not all is there.
func (e *exporter) cut(why string) error {
	if e.rows != nil {
		e.rows.Write(append([]string{"# " + why}, make([]string, len(exportColumns)-1)...)) //nolint:errcheck // see export
	} else {
		line, _ := json.Marshal(map[string]string{"cut": why}) // a string always encodes
		e.line(line)
	}
	return e.flush()
}

func (e *exporter) line(line []byte) {
	_, _ = e.out.Write(line) // an error stays with the writer, and is seen at each page's end
	_, _ = io.WriteString(e.out, "\n")
}

func (e *exporter) job(j *bellhop.Snapshot) {
	if e.rows == nil {
		var line bytes.Buffer
		if json.Compact(&line, api.NewJob(j).AppendJSON(nil)) == nil {
			e.line(line.Bytes())
		}
		return
	}
	p, failure := &j.Place, ""
	if n := len(j.History); n > 0 && j.History[n-1].Failure != nil {
		failure = j.History[n-1].Failure.Message
	}
	cells := []string{
		j.ID.String(), j.Kind, j.Queue, p.State.String(), strconv.Itoa(j.Priority), strconv.Itoa(p.Attempt), strconv.Itoa(p.Failures), strconv.Itoa(j.Attempts),
		cellTime(j.EnqueuedAt), cellTime(p.Due), cellTime(p.ClaimedAt), cellTime(p.FinishedAt), strings.Join(j.Tags, " "), failure, p.Reason, string(j.Args),
	}
	for i := range cells {
		cells[i] = cell(cells[i])
	}
	e.rows.Write(cells) //nolint:errcheck // see export
}

func cellTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// cell keeps a spreadsheet from taking a text for a formula: such a text gets an apostrophe before it. Whole numbers stay. Some
// programs pass over white space before a formula, and some take the wide forms of its first sign too.
func cell(text string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(text, " \t\r\n"))
	if text == "" || !strings.ContainsRune("=+-@＝＋－＠", first) && !strings.ContainsRune("\t\r\n", rune(text[0])) {
		return text
	}
	if _, err := strconv.Atoi(text); err == nil {
		return text
	}
	return "'" + text
}
