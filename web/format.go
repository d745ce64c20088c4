package web

import (
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/draw"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// functions are what templates call. Those that return template.HTML escape whatever they are given.
func (s *Server) functions() template.FuncMap {
	return template.FuncMap{
		"url":       s.url,
		"at":        func(path, query string) template.URL { return template.URL(s.at(path, query)) }, // a query that is escaped already
		"asset":     s.assetURL,
		"icon":      s.icon,
		"state":     s.stateBadge,
		"has":       s.has,
		"ago":       func(t time.Time) template.HTML { return ago(t, time.Now()) },
		"since":     ago,
		"exact":     exact,
		"span":      span,
		"brief":     brief,
		"quantiles": quantiles,
		"took":      took,
		"number":    number,
		"capped":    capped,
		"plural":    plural,
		"runs":      func(n int64) string { return plural(int(n), "run") },
		"bytes":     size,
		"percent":   percent,
		"rate":      rate,
		"spark":     draw.Spark,
		"rowid":     rowID,
		"may":       may,
		"pages":     s.entries,
		"dict":      dict,
		"join":      strings.Join,
		"list":      func(items ...any) []any { return items },
		"shorten":   shorten,
	}
}

// url makes an address of the dashboard from a format whose values are escaped: url "/queues/%s" .Queue.
func (s *Server) url(format string, values ...any) string {
	escaped := make([]any, len(values))
	path, query, hasQuery := strings.Cut(format, "?")
	inPath := strings.Count(path, "%")
	for i, value := range values {
		if text := fmt.Sprint(value); i < inPath {
			escaped[i] = url.PathEscape(text)
		} else {
			escaped[i] = url.QueryEscape(text)
		}
	}
	if hasQuery {
		path += "?" + query
	}
	return s.opts.Prefix + fmt.Sprintf(path, escaped...)
}

// has reports whether the dashboard has a page at a path, so that the navigation leads nowhere else.
func (s *Server) has(path string) bool {
	for _, rt := range s.routes {
		if rt.pattern == "GET "+path {
			return true
		}
	}
	return false
}

// icon returns a drawing of icons.svg. It says nothing to those who cannot see it: words stand beside it.
func (s *Server) icon(name string) (template.HTML, error) {
	file, err := s.assetURL("icons.svg")
	if err != nil {
		return "", err
	}
	return template.HTML(`<svg class="icon" aria-hidden="true" focusable="false"><use href="` + // #nosec: escaped below
		template.HTMLEscapeString(file) + "#" + template.HTMLEscapeString(name) + `"></use></svg>`), nil
}

// stateBadge shows a state by colour, shape and word.
func (s *Server) stateBadge(state bellhop.State) (template.HTML, error) {
	icon, err := s.icon(state.String())
	name := template.HTMLEscapeString(state.String())
	return template.HTML(`<span class="state state-`+name+`">`) + icon + template.HTML(name+`</span>`), err
}

// exact writes a time to the microsecond.
func exact(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000 UTC")
}

// ago writes a time as how far it is from now, with the exact one as its title. Scripts let it tick.
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, // numbers and fixed words: nothing to escape
		t.UTC().Format("2006-01-02T15:04:05.000Z"), exact(t), relative(now.Sub(t))))
}

// relative writes a distance in time in one unit: "5 min ago", "in 2 h". app.js has the same rule.
func relative(d time.Duration) string {
	abs := d.Abs()
	var text string
	switch {
	case abs < time.Second:
		return "now"
	case abs < 100*time.Second:
		text = strconv.Itoa(int(abs/time.Second)) + " s"
	case abs < 100*time.Minute:
		text = strconv.Itoa(int(abs/time.Minute)) + " min"
	case abs < 48*time.Hour:
		text = strconv.Itoa(int(abs/time.Hour)) + " h"
	default:
		text = strconv.Itoa(int(abs/(24*time.Hour))) + " d"
	}
	if d < 0 {
		return "in " + text
	}
	return text + " ago"
}

// span writes a length of time for people, in at most two units: "4 min 3 s", "2 d 5 h".
func span(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	units := []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	if d < time.Second {
		return took(d)
	}
	for i, u := range units {
		if d < u.of {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.of, u.name)
		if i+1 < len(units) {
			if rest := d % u.of / units[i+1].of; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0"
}

// took writes a measured duration with three digits: "12.3 ms", "1.05 s"; from a minute on as a span.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return digits(d.Seconds()) + " s"
	}
	return span(d)
}

// brief writes a duration for a narrow column, with two digits: "850µs", "12ms", "1.2s", "3.5min".
func brief(d time.Duration) string {
	two := func(f float64, unit string) string {
		if f < 9.95 {
			return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + unit
		}
		return strconv.FormatFloat(f, 'f', 0, 64) + unit
	}
	switch {
	case d < time.Millisecond:
		return two(float64(d)/float64(time.Microsecond), "µs")
	case d < time.Second:
		return two(float64(d)/float64(time.Millisecond), "ms")
	case d < 100*time.Second:
		return two(d.Seconds(), "s")
	case d < 100*time.Minute:
		return two(d.Minutes(), "min")
	case d < 48*time.Hour:
		return two(d.Hours(), "h")
	}
	return two(d.Hours()/24, "d")
}

// quantiles writes the p50, p95 and p99 of durations.
func quantiles(s rollup.Sketch) template.HTML {
	if s.Count() == 0 {
		return `<span class="zero">–</span>`
	}
	p50, p95, p99 := s.Quantile(0.5), s.Quantile(0.95), s.Quantile(0.99)
	return template.HTML(fmt.Sprintf(`<span class="quantiles" title="p50 %s, p95 %s, p99 %s, of %s"><b>%s</b><span>%s</span><span>%s</span></span>`, // numbers and units
		took(p50), took(p95), took(p99), plural(int(s.Count()), "run"), brief(p50), brief(p95), brief(p99)))
}

// digits writes a number with three digits that count.
func digits(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// number writes a whole number with commas.
func number(v any) (string, error) {
	var text string
	switch n := v.(type) {
	case int, int64, int32, uint, uint64, uint32:
		text = fmt.Sprint(n)
	default:
		return "", fmt.Errorf("number: %T is not a whole number", v)
	}
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text, nil
}

// countedTo is how far the jobs that match a filter are counted on pages.
const countedTo = 10_000

// capped writes a count that may be more: "10,000+".
func capped(n int, more bool) string {
	text, _ := number(n) // an int is a number
	if more {
		text += "+"
	}
	return text
}

// plural writes a count with its noun: "1 job", "10,000+ jobs" with capped.
func plural(n int, noun string) string {
	text, _ := number(n)
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "s"):
		noun += "es"
	default:
		noun += "s"
	}
	return text + " " + noun
}

// size writes a number of bytes.
func size(n int) string {
	switch {
	case n < 1024:
		return plural(n, "byte")
	case n < 1<<20:
		return digits(float64(n)/1024) + " KiB"
	}
	return digits(float64(n)/(1<<20)) + " MiB"
}

// percent writes a share from 0 to 1.
func percent(f float64) string {
	switch {
	case math.IsNaN(f) || f <= 0:
		return "0 %"
	case f < 0.001:
		return "<0.1 %"
	case f < 0.1:
		return strconv.FormatFloat(100*f, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*f, 'f', 0, 64) + " %"
}

// rate writes how many things happen a second, or a minute where that reads better.
func rate(perSecond float64) string {
	switch {
	case math.IsNaN(perSecond) || perSecond <= 0:
		return "0"
	case perSecond < 1:
		return digits(60*perSecond) + "/min"
	case perSecond < 10_000:
		return digits(perSecond) + "/s"
	}
	text, _ := number(int64(perSecond))
	return text + "/s"
}

// rowID makes an id for an element out of any name, the same each time, so that live updates find it again.
func rowID(kind, name string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return kind + "-" + strconv.FormatUint(h.Sum64(), 36)
}

// shorten cuts a text for a table; the whole one goes into a title.
func shorten(text string, max int) string { return bellhop.CleanText(text, max) }

// may reports whether the viewer has a role on a queue; on all queues if it is empty.
func may(v *access.Viewer, role, queue string) (bool, error) {
	want, err := access.ParseRole(role)
	if v == nil || err != nil {
		return false, err
	}
	if queue == "" {
		return v.All() >= want, nil
	}
	return v.On(queue) >= want, nil
}

// dict makes a map of pairs, for partials that take more than one thing.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("dict: a name is not a string")
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
