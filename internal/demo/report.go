package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// labels of the effects in reports.
var effectLabels = map[string]string{
	EffectCharge:    "charge the card",
	EffectMail:      "send the receipt",
	EffectSubscribe: "join the mailing list",
	EffectChat:      "tell the staff chat",
	EffectTrack:     "track the purchase",
}

// Opening writes what the demo is about: what a request has to do and how long each part takes. About names the shop's side in
// a few words, such as the store in use; it stands at the right.
func (p *Printer) Opening(w *World, about string) {
	p.Line("")
	title := "Bellhop demo: what does a checkout wait for?"
	p.Line("  " + p.bold(title) + p.dim(padLeft(about, Width-4-width(title))))
	p.rule()
	p.Note("A shop with a few web workers takes orders. Each order is charged, confirmed by mail, added to the mailing list, " +
		"announced to the staff and tracked. These five services are real servers on this machine, and they take their time:")
	p.Line("")
	effects := AllEffects()
	whole := w.Latency(effects...)
	done := time.Duration(0)
	const chart = 38
	for _, effect := range effects {
		one := w.Latency(effect)
		from := int(float64(done) / float64(whole) * chart)
		bar := strings.Repeat(" ", from) + blocks(float64(one), float64(whole), chart)
		p.linef("  %s %s  %s", pad(effectLabels[effect], 22), padLeft(millis(one), 9), p.cyan(bar))
		done += one
	}
	p.linef("  %s %s  %s", pad("one after the other", 22), p.bold(padLeft(millis(whole), 9)), p.dim("└"+strings.Repeat("─", chart-2)+"┘"))
}

// FormResult is the measurement of one form.
type FormResult struct {
	Form Form
	Load Result
}

// Forms writes the table and the bars of the measured forms of the checkout. The first one is what the others are compared with.
func (p *Printer) Forms(results []FormResult) {
	if len(results) == 0 {
		return
	}
	p.Table("checkout", "orders", results)
	p.bars("the customer waits (p50)", results, p.yellow,
		func(r Result) (float64, string) { return float64(r.P50), millis(r.P50) })
	p.bars("orders that the web workers take in a second", results, p.green,
		func(r Result) (float64, string) { return r.PerSecond, rate(r.PerSecond) })
	p.Line("")
	for _, r := range results {
		p.Line("  " + pad(r.Form.Title, 30) + p.dim(r.Form.Note))
	}
}

// Table writes the figures of forms of something, such as the checkout, which takes things, such as orders. The first form is
// what the others are compared with.
func (p *Printer) Table(what, things string, results []FormResult) {
	p.Line("")
	p.linef("  %s%s%s%s%s", pad(what, 32), padLeft("p50", 11), padLeft("p99", 11), padLeft(things+"/s", 11), padLeft("ratio", 11))
	p.rule()
	base := 0.0
	for i, r := range results {
		if i == 0 {
			base = r.Load.PerSecond
		}
		ratio := "–"
		if base > 0 {
			ratio = times(r.Load.PerSecond / base)
		}
		p.linef("  %s%s%s%s%s", pad(r.Form.Title, 32),
			p.bold(padLeft(millis(r.Load.P50), 11)), padLeft(millis(r.Load.P99), 11),
			p.bold(padLeft(rate(r.Load.PerSecond), 11)), p.cyan(padLeft(ratio, 11)))
		if r.Load.Failed > 0 {
			p.linef("  %s", p.red("  "+count(r.Load.Failed)+" failed: "+reasons(r.Load)))
		}
	}
}

func (p *Printer) bars(title string, results []FormResult, colour func(string) string, value func(Result) (float64, string)) {
	p.Line("")
	p.Line("  " + p.dim(title))
	most := 0.0
	for _, r := range results {
		v, _ := value(r.Load)
		most = max(most, v)
	}
	for _, r := range results {
		v, text := value(r.Load)
		p.linef("  %s%s %s", pad(r.Form.Title, 30), colour(blocks(v, most, 36)), text)
	}
}

// times writes a ratio.
func times(ratio float64) string {
	if ratio < 9.95 {
		return fmt.Sprintf("%.1f×", ratio)
	}
	return count(int(ratio+0.5)) + "×"
}

// reasons lists why requests failed, the most frequent reason first, at most three of them.
func reasons(r Result) string {
	failures := r.Failures()
	var names []string
	for name := range failures {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if failures[a] != failures[b] {
			return failures[b] - failures[a]
		}
		return strings.Compare(a, b)
	})
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return clip(clean(strings.Join(names, "; ")), 56)
}

// OutageReport is one outage under the title of the form that went through it.
type OutageReport struct {
	Title  string
	Result OutageResult
}

// Outages writes what an outage did to each of the given forms: a timeline for each, then the figures side by side. Three forms
// fit the width.
func (p *Printer) Outages(reports []OutageReport) {
	for _, r := range reports {
		p.timeline(r)
	}
	p.Line("")
	header := "  " + pad("", 32)
	for _, r := range reports {
		header += padLeft(clip(r.Title, 14), 15)
	}
	p.Line(p.bold(header))
	p.rule()
	p.outageRow(reports, "orders placed", func(r OutageResult) string { return count(len(r.Load.Samples)) })
	p.outageRow(reports, "customers who saw an error", func(r OutageResult) string {
		return p.good(r.Load.Failed == 0, count(r.Load.Failed))
	})
	p.outageRow(reports, "accepted orders, charged", func(r OutageResult) string {
		return p.good(r.Done == r.Load.Accepted, count(r.Done)+" of "+count(r.Load.Accepted))
	})
	p.outageRow(reports, "charged twice", func(r OutageResult) string { return p.good(r.Twice == 0, count(r.Twice)) })
	p.outageRow(reports, "charged, but told it failed", func(r OutageResult) string {
		return p.good(r.DoneButFailed == 0, count(r.DoneButFailed))
	})
	p.outageRow(reports, "repeats answered by their key", func(r OutageResult) string { return count(r.Replays) })
	p.outageRow(reports, "backlog done after it was back", func(r OutageResult) string {
		switch {
		case r.CaughtUp == 0:
			return p.red("never")
		case r.CaughtUp <= r.Up:
			return "no backlog"
		}
		return seconds(r.CaughtUp - r.Up)
	})
}

func (p *Printer) outageRow(reports []OutageReport, label string, value func(OutageResult) string) {
	line := "  " + pad(label, 32)
	for _, r := range reports {
		line += padLeft(value(r.Result), 15)
	}
	p.Line(line)
}

// timeline draws one outage over time. Each row of columns has its own scale.
func (p *Printer) timeline(report OutageReport) {
	const label, columns = 20, Width - 4 - 20
	r := report.Result
	end := max(r.Load.Elapsed, r.Up)
	for _, t := range r.DoneAt {
		end = max(end, t)
	}
	if end <= 0 {
		return
	}
	at := func(t time.Duration) int {
		return min(columns-1, max(0, int(float64(t)/float64(end)*columns)))
	}
	accepted, failed, done := make([]int, columns), make([]int, columns), make([]int, columns)
	for _, s := range r.Load.Samples {
		if s.Accepted() {
			accepted[at(s.Started+s.Latency)]++
		} else {
			failed[at(s.Started+s.Latency)]++
		}
	}
	for _, t := range r.DoneAt {
		done[at(t)]++
	}
	down, up := at(r.Down), at(r.Up)
	p.Line("")
	p.Line("  " + p.bold(report.Title))
	p.Line("  " + pad(r.Service+" service", label) + p.green(strings.Repeat("━", down)) +
		p.red(centred(" down ", up-down, "╌")) + p.green(strings.Repeat("━", columns-up)))
	p.Line("  " + pad("orders accepted", label) + p.cyan(spark(accepted)))
	if r.Load.Failed > 0 {
		p.Line("  " + pad("customers see errors", label) + p.red(spark(failed)))
	}
	p.Line("  " + pad(doneLabel(r.Service), label) + p.green(spark(done)))
	from, to := "0 s", seconds(end)
	p.Line("  " + pad("", label) + p.dim(from+strings.Repeat(" ", columns-width(from)-width(to))+to))
}

func doneLabel(service string) string {
	if service == "payment" {
		return "cards charged"
	}
	return "calls done"
}

// centred puts a text into the middle of a line of so many columns; without room for it there is only the line.
func centred(text string, columns int, line string) string {
	free := columns - width(text)
	if free < 2 {
		return strings.Repeat(line, max(0, columns))
	}
	return strings.Repeat(line, free/2) + text + strings.Repeat(line, free-free/2)
}

// Checks writes what the outside world counted against what was expected, with a mark on each line.
func (p *Printer) Checks(checks []Check) {
	p.linef("    %s%s%s%s%s", pad("", 24), padLeft("expected", 12), padLeft("counted", 12), padLeft("twice", 12), padLeft("unasked", 12))
	p.rule()
	for _, c := range checks {
		p.linef("  %s %s%s%s%s%s", p.mark(c.OK()), pad(checkLabels[c.Effect], 24),
			padLeft(count(c.Expected), 12), p.good(c.Counted == c.Expected, padLeft(count(c.Counted), 12)),
			p.good(c.Twice == 0, padLeft(count(c.Twice), 12)), p.good(c.Unknown == 0, padLeft(count(c.Unknown), 12)))
	}
	for _, c := range checks {
		if c.Uncertain > 0 {
			p.linef("  %s %s", p.yellow("!"), p.dim(fmt.Sprintf("%s: %s more, for customers who saw an error", checkLabels[c.Effect], count(c.Uncertain))))
		}
	}
}

// Followed writes what a browser showed of one order.
func (p *Printer) Followed(pages []Seen) {
	for _, page := range pages {
		note := ""
		if page.Refresh > 0 {
			note = "asks again by itself"
		}
		p.linef("  %s  %d  %s %s", padLeft(seconds(page.After), 8), page.Status,
			p.good(page.State != Failed, pad(string(page.State), 10)), p.dim(note))
	}
}

var checkLabels = map[string]string{
	EffectCharge:    "cards charged",
	EffectMail:      "mails delivered",
	EffectSubscribe: "list members added",
	EffectChat:      "chat lines",
	EffectTrack:     "events tracked",
}

// Place is somewhere to look while the demo stays up.
type Place struct {
	What  string // such as "the shop"
	Where string // an address or a command
}

// Places writes where to look.
func (p *Printer) Places(places []Place) {
	longest := 0
	for _, place := range places {
		longest = max(longest, width(place.What))
	}
	for _, place := range places {
		if longest+4+width(place.Where) > Width { // on a line of its own, so that it can be copied
			p.Line("  " + place.What)
			p.Line("    " + p.cyan(place.Where))
			continue
		}
		p.Line("  " + pad(place.What, longest+2) + p.cyan(place.Where))
	}
}

// Verdict writes the last line of a report.
func (p *Printer) Verdict(ok bool, text string) {
	p.Line("")
	p.Line("  " + p.mark(ok) + " " + p.bold(p.good(ok, text)))
	p.Line("")
}
