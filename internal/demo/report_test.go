package demo

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// loadOf makes a result of accepted and failed samples, all with the same latency.
func loadOf(accepted, failed int, latency time.Duration) Result {
	r := Result{Accepted: accepted, Failed: failed, P50: latency, P99: latency * 2, Elapsed: 10 * time.Second, PerSecond: float64(accepted) / 10}
	for i := range accepted + failed {
		s := Sample{Started: time.Duration(i) * 10 * time.Second / time.Duration(accepted+failed), Latency: latency}
		if i >= accepted {
			s.Err = "status 502: charge failed\x1b[31m"
		}
		r.Samples = append(r.Samples, s)
	}
	return r
}

// everything prints a whole report.
func everything(p *Printer, w *World) {
	p.Opening(w, "8 web workers")
	p.Chapter("1  The checkout, four ways")
	var results []FormResult
	for i, form := range Forms() {
		results = append(results, FormResult{form, loadOf(10+100*i*i*i, i, 2150*time.Millisecond>>(2*i))})
		p.Progress(form.Title, Progress{Share: 0.5, Accepted: 12345, Failed: i, P50: 2150 * time.Millisecond, PerSecond: 3.72})
		p.Driven(form.Title, results[i].Load)
	}
	p.Forms(results)
	p.Followed([]Seen{{Status: 202, State: Charging, Refresh: time.Second}, {After: time.Second, Status: 200, State: Paid}})
	p.Chapter("2  The payment service is down")
	p.Status("waiting", "3 orders are not charged yet")
	p.Failed("charge inline", "40 customers saw an error")
	out := OutageResult{
		Load: loadOf(100, 40, 300*time.Millisecond), Service: "payment", Down: 4 * time.Second, Up: 7 * time.Second,
		Done: 100, DoneAt: []time.Duration{time.Second, 8 * time.Second, 12 * time.Second}, DoneButFailed: 3, CaughtUp: 9 * time.Second,
	}
	p.Outages([]OutageReport{{"charge inline", out}, {"charge as a job", OutageResult{Load: loadOf(9, 0, time.Second), Service: "payment"}}})
	p.Chapter("3  Counted at the outside world")
	p.Checks([]Check{{Effect: EffectCharge, Expected: 1284, Counted: 1284, Uncertain: 3}, {Effect: EffectMail, Expected: 2, Counted: 1, Twice: 1, Unknown: 4}})
	p.Verdict(false, "One count is wrong.")
	p.Places([]Place{{"the shop", "http://127.0.0.1:8081"}, {"stop", "Ctrl-C"}})
}

func TestReportIsPlainWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	everything(p, startWorld(t, 1))
	text := out.String()
	if p.Err() != nil || strings.ContainsAny(text, "\x1b\r") {
		t.Errorf("escape sequences in plain text, or an error: %v\n%q", p.Err(), text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if width(line) > Width || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns, or blanks at the end: %q", width(line), line)
		}
	}
	for _, want := range []string{
		"one after the other     2,150 ms",
		"everything inline                  2,150 ms   4,300 ms        1.0       1.0×",
		"the charge too                        34 ms      67 ms        271       271×",
		"3 failed: status 502: charge failed.[31m",
		"202  charging   asks again by itself",
		"payment service     ━━━━━━━━━━━━━━━━━━╌╌╌╌ down ╌╌╌╌━━",
		"accepted orders, charged             100 of 100         0 of 9",
		"backlog done after it was back            2.0 s          never",
		"✓ cards charged                  1,284       1,284           0           0",
		"✗ mails delivered                    2           1           1           4",
		"! cards charged: 3 more, for customers who saw an error",
		"✗ One count is wrong.",
		"the shop  http://127.0.0.1:8081",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report misses %q", want)
		}
	}
	if t.Failed() {
		t.Log("\n" + text)
	}
}

func TestColoursAreAllThatATerminalAdds(t *testing.T) {
	w := startWorld(t, 1)
	var plain, coloured bytes.Buffer
	everything(&Printer{Out: &plain, Every: time.Hour}, w)
	everything(&Printer{Out: &coloured, Colour: true, Every: time.Hour}, w)
	bare, escape := strings.Builder{}, false
	for _, r := range coloured.String() {
		if r == '\x1b' {
			escape = true
		}
		if !escape {
			bare.WriteRune(r)
		}
		if r == 'm' {
			escape = false
		}
	}
	var lines []string
	for line := range strings.Lines(bare.String()) {
		lines = append(lines, strings.TrimRight(line, " \n")) // blanks before the end of a colour stay
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSuffix(plain.String(), "\n"), "\n"), lines); diff != "" {
		t.Errorf("plain and coloured differ:\n%s", diff)
	}
	if !strings.Contains(coloured.String(), "\x1b[32m✓\x1b[0m") {
		t.Error("no green check mark")
	}
}

func TestLiveLinesAreRewritten(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{Out: &out, Live: true, Columns: 40}
	for i := range 3 {
		p.Progress("a very long label of many words here", Progress{Share: float64(i) / 2, Accepted: i})
	}
	p.Line("done")
	parts := strings.Split(out.String(), "\r\x1b[2K")
	if len(parts) != 5 || parts[4] != "done\n" {
		t.Fatalf("%q", out.String())
	}
	for _, line := range parts[1:4] {
		if width(line) >= 40 || strings.Contains(line, "\n") {
			t.Errorf("a live line of %d columns: %q", width(line), line)
		}
	}
}

func TestPlainProgressIsNowAndThen(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{Out: &out, Every: time.Hour}
	for range 10 {
		p.Progress("checkout", Progress{Share: 0.25, Accepted: 1})
	}
	if got, want := out.String(), "  ▸ checkout                       25 %  1 order, 0.0/s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrinterKeepsItsFirstError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := NewPrinter(w)
	if p.Live || p.Colour {
		t.Error("a pipe was taken for a terminal")
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	p.Line("hello")
	if !errors.Is(p.Err(), os.ErrClosed) {
		t.Errorf("the error is %v", p.Err())
	}
}

func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		count(0):                        "0",
		count(1234567):                  "1,234,567",
		count(-1234):                    "-1,234",
		millis(450 * time.Microsecond):  "0.5 ms",
		millis(9970 * time.Microsecond): "10 ms",
		millis(2150 * time.Millisecond): "2,150 ms",
		rate(3.72):                      "3.7",
		rate(1234.5):                    "1,235",
		times(1):                        "1.0×",
		times(27.2):                     "27×",
		plural(1, "order"):              "1 order",
		plural(2, "order"):              "2 orders",
		blocks(0, 1, 10):                "",
		blocks(0.0001, 1, 10):           "▏",
		blocks(1, 2, 5):                 "██▌",
		blocks(9, 2, 3):                 "███",
		spark([]int{0, 1, 4, 8}):        " ▁▄█",
		clip("\x1b[1mabcdef\x1b[0m", 3): "\x1b[1mabc\x1b[0m",
		clean("a\x1b[2Jb\u009bc\n"):     "a.[2Jb.c.",
		centred(" down ", 5, "-"):       "-----",
		Order{Amount: 105}.Price():      "€1.05",
		pad("\x1b[1m✓\x1b[0m", 3) + padLeft("abc", 5):    "\x1b[1m✓\x1b[0m    abc",
		strings.Join(Forms()[1].Inline("mail", "x"), ""): "x",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
