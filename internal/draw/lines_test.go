package draw

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func TestLinesStayInTheirPlaceAndEscape(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	times := []time.Time{now, now.Add(time.Minute), now.Add(2 * time.Minute)}
	evil := `"><script>alert(1)</script>`
	for name, values := range map[string][]float64{
		"plain": {1, 2, 3}, "nothing": {0, 0, 0}, "gaps": {1, math.NaN(), 3}, "huge": {1e300, math.Inf(1), -5}, "short": {1}, "long": {1, 2, 3, 4, 5}, "none": nil,
	} {
		got := string(Lines(evil, times, []Line{{evil, "ready", values}}, []Mark{{now.Add(time.Minute), evil}, {now.Add(-time.Hour), "before"}},
			func(v float64) string { return fmt.Sprint(v) }))
		if strings.Contains(got, "<script") || strings.Contains(got, "NaN") || strings.Contains(got, "before") {
			t.Errorf("%s: %s", name, got)
		}
		d := xml.NewDecoder(strings.NewReader(got))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s is no XML: %v\n%s", name, err, got)
			}
		}
	}
	if got := string(Lines("t", times, []Line{{"a", "ready", []float64{1, math.NaN(), 3}}}, nil, func(float64) string { return "" })); strings.Count(got, "M") < 3 || strings.Contains(got, "L") && strings.Contains(got, "L632") {
		t.Errorf("a gap is bridged: %s", got)
	}
}

func TestNiceStepReachesOverTheTop(t *testing.T) {
	for top := 1e-7; top < 1e12; top *= 1.37 {
		step, ticks := niceStep(top)
		if ticks < 1 || ticks > 5 || step*float64(ticks) < top*(1-1e-9) {
			t.Errorf("%g: %d steps of %g", top, ticks, step)
		}
	}
}

func TestLinesShowAValueBetweenGaps(t *testing.T) {
	times := make([]time.Time, 5)
	for i := range times {
		times[i] = time.Date(2026, 1, 31, 12, i, 0, 0, time.UTC)
	}
	none := math.NaN()
	draw := func(values ...float64) string {
		return string(Lines("t", times, []Line{{"a", "ready", values}}, nil, func(float64) string { return "" }))
	}
	// A path of a single M draws nothing; with a line of no length its round ends are a dot.
	if got := draw(none, none, 1, none, none); strings.Count(got, "h0\"") != 1 {
		t.Errorf("a value between two gaps is not drawn: %s", got)
	}
}
