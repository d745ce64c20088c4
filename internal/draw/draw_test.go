package draw_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/draw"
)

var update = flag.Bool("update", false, "write the drawings that are compared with")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return noon.Add(d) }

// job returns a job that was enqueued at noon.
func job(p bellhop.Place, history ...bellhop.Attempt) *bellhop.Snapshot {
	return &bellhop.Snapshot{Job: bellhop.Job{EnqueuedAt: noon, Attempts: 5}, Place: p, History: history}
}

func attempt(n int, due, claimed, started, ended time.Duration, outcome bellhop.OutcomeKind) bellhop.Attempt {
	return bellhop.Attempt{Number: n, Claim: int64(n), Outcome: outcome, Due: at(due), ClaimedAt: at(claimed), Started: at(started), Ended: at(ended)}
}

func drawings() map[string]template.HTML {
	sec := time.Second
	return map[string]template.HTML{
		"way-ready":     draw.Way(job(bellhop.Place{State: bellhop.StateReady, Due: noon}), at(90*sec)),
		"way-scheduled": draw.Way(job(bellhop.Place{State: bellhop.StateScheduled, Due: at(time.Hour)}), at(5*time.Minute)),
		"way-blocked":   draw.Way(job(bellhop.Place{State: bellhop.StateBlocked, Due: noon, Waits: 2}), at(5*time.Minute)),
		"way-running":   draw.Way(job(bellhop.Place{State: bellhop.StateRunning, Due: noon, ClaimedAt: at(2 * sec), Attempt: 1}), at(12*sec)),
		"way-succeeded": draw.Way(job(bellhop.Place{State: bellhop.StateSucceeded, Due: noon, Attempt: 1, FinishedAt: at(3 * sec)},
			attempt(1, 0, 2*sec, 2*sec+time.Millisecond, 3*sec, bellhop.OutcomeSucceeded)), at(time.Hour)),
		"way-dead": draw.Way(job(bellhop.Place{State: bellhop.StateDead, Due: at(60 * sec), Attempt: 3, Failures: 3, FinishedAt: at(64 * sec)},
			attempt(1, 0, sec, sec, 2*sec, bellhop.OutcomeRetry), attempt(2, 20*sec, 21*sec, 21*sec, 22*sec, bellhop.OutcomeSwept),
			attempt(2, 20*sec, 30*sec, 30*sec, 31*sec, bellhop.OutcomeSnooze), attempt(3, 60*sec, 61*sec, 61*sec, 64*sec, bellhop.OutcomeDead)), at(49*time.Hour)),
		"way-again": draw.Way(job(bellhop.Place{State: bellhop.StateReady, Due: at(time.Hour), Generation: 1},
			attempt(1, 0, sec, sec, 2*sec, bellhop.OutcomeDead)), at(time.Hour+sec)),
		"way-handed-back": draw.Way(job(bellhop.Place{State: bellhop.StateReady, Due: noon},
			bellhop.Attempt{Outcome: bellhop.OutcomeHandedBack, Due: noon, ClaimedAt: at(sec)}), at(3*sec)),
		"bars": draw.Bars("Failures of 3 minutes", "At most 8.", "11:57", "12:00", []draw.Bar{
			{Value: 4, Label: "11:57"}, {}, {Value: 8, Bad: 2, Label: `<b>"11:59"`},
		}),
		"bars-odd":         draw.Bars("Odd", "", "", "", []draw.Bar{{Value: math.NaN()}, {Value: math.Inf(1)}, {Value: -3}, {Value: 2, Bad: 7}}),
		"bars-marked":      draw.Bars("Run times", "", "1ms", "1s", []draw.Bar{{Value: 4}, {}, {Value: 8}}, draw.BarMark{At: 0.25, Text: "this <one>: 4ms"}, draw.BarMark{At: 7, Text: "late"}),
		"bars-none":        draw.Bars("Nothing", "", "", "", nil),
		"spark":            draw.Spark("Jobs a second", []float64{0, 1, 4, 2, math.NaN()}),
		"spark-flat":       draw.Spark("Jobs a second", nil),
		"progress":         draw.Progress("Retry", 42),
		"progress-unknown": draw.Progress("Retry", -1),
	}
}

func TestGolden(t *testing.T) {
	for name, svg := range drawings() {
		file := filepath.Join("testdata", name+".svg")
		got := strings.ReplaceAll(string(svg), "><", ">\n<") + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != got {
			t.Errorf("%s (%v): if it is meant to be so, run the test with -update and look at it:\n%s", file, err, got)
		}
	}
}

var forbidden = regexp.MustCompile(`(?i)style=|\son\w+=|<script|javascript:|NaN|Inf`)

// TestFormed: each drawing is well-formed, needs nothing that the policy of pages forbids, and has a title.
func TestFormed(t *testing.T) {
	for name, svg := range drawings() {
		if bad := forbidden.FindString(string(svg)); bad != "" {
			t.Errorf("%s: %q in %s", name, bad, svg)
		}
		if !strings.Contains(string(svg), "<title>") || !strings.Contains(string(svg), `role="img"`) {
			t.Errorf("%s has no title or no role", name)
		}
		for dec := xml.NewDecoder(strings.NewReader(string(svg))); ; {
			_, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0", 0: "0 µs", 900 * time.Microsecond: "900 µs", 1500 * time.Microsecond: "1.5 ms", 20 * time.Millisecond: "20 ms",
		3200 * time.Millisecond: "3.2 s", 75 * time.Second: "75 s", 5 * time.Minute: "5 min", 125 * time.Minute: "2 h 5 min",
		3 * time.Hour: "3 h", 50 * time.Hour: "2 d",
	} {
		if got := draw.Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
