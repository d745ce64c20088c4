package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width is how many columns a report uses at most.
const Width = 80

// Printer writes the report of a demo as plain text. Its methods may be called from several goroutines.
type Printer struct {
	// Out is where everything goes.
	Out io.Writer
	// Colour turns on colours and bold letters.
	Colour bool
	// Live rewrites one line to show progress. Without it, a line is printed now and then.
	Live bool
	// Every is the shortest time between two progress lines when Live is off. Zero means 5 s.
	Every time.Duration
	// Columns is how wide the terminal is; live lines are cut there, so that they can be rewritten. Zero means [Width].
	Columns int

	mu    sync.Mutex
	shown bool // a live line is on the screen
	last  time.Time
	err   error
}

// NewPrinter returns a printer that suits its output: on a terminal it rewrites progress lines and uses colour, unless the
// environment variable NO_COLOR is set to anything or TERM is dumb; elsewhere it writes plain lines.
func NewPrinter(out io.Writer) *Printer {
	p := &Printer{Out: out, Columns: Width, last: time.Now()}
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return p
	}
	p.Live = true
	p.Colour = os.Getenv("NO_COLOR") == ""
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		p.Columns = min(columns, Width)
	}
	return p
}

// Err returns the first error of writing, if there was one.
func (p *Printer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Line writes one line of text.
func (p *Printer) Line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.write(strings.TrimRight(text, " ") + "\n")
}

func (p *Printer) linef(format string, args ...any) { p.Line(fmt.Sprintf(format, args...)) }

// Chapter writes a heading.
func (p *Printer) Chapter(title string) {
	p.Line("")
	p.Line("")
	p.Line("  " + p.bold(p.cyan(title)))
	p.Line("")
}

func (p *Printer) rule() { p.Line("  " + p.dim(strings.Repeat("─", Width-4))) }

// Note writes quiet text, wrapped and indented.
func (p *Printer) Note(text string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && width(line)+1+width(word) > Width-4 {
			p.Line("  " + p.dim(line))
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		p.Line("  " + p.dim(line))
	}
}

// Progress shows how far a load has come under a label.
func (p *Printer) Progress(label string, at Progress) {
	const bar = 14
	full := blocks(at.Share, 1, bar)
	text := fmt.Sprintf("%s %s", p.cyan(full)+p.dim(strings.Repeat("░", bar-width(full))), p.tally(at))
	if !p.Live {
		if at.Accepted+at.Failed == 0 {
			return // a line that stays should tell something
		}
		text = fmt.Sprintf("%3.0f %%  %s", at.Share*100, p.tally(at))
	}
	p.Status(label, text)
}

func (p *Printer) tally(at Progress) string {
	text := fmt.Sprintf("%s, %s/s", plural(at.Accepted, "order"), rate(at.PerSecond))
	if at.P50 > 0 {
		text += ", p50 " + millis(at.P50)
	}
	if at.Failed > 0 {
		text += ", " + p.red(count(at.Failed)+" failed")
	}
	return text
}

// Status shows what is going on under a label: rewritten in place when the printer is live, else at most once in [Printer.Every].
func (p *Printer) Status(label, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("  %s %s %s", p.cyan("▸"), pad(label, 29), text)
	if p.Live {
		columns := p.Columns
		if columns == 0 {
			columns = Width
		}
		p.write("\r\x1b[2K" + clip(line, columns-1))
		p.shown = true
		return
	}
	every := p.Every
	if every == 0 {
		every = 5 * time.Second
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	p.write(line + "\n")
}

// Done ends what [Printer.Status] showed under the label, with a check mark.
func (p *Printer) Done(label, text string) {
	p.Line("  " + p.mark(true) + " " + pad(label, 29) + " " + text)
}

// Failed ends what [Printer.Status] showed under the label, with a cross.
func (p *Printer) Failed(label, text string) {
	p.Line("  " + p.mark(false) + " " + pad(label, 29) + " " + text)
}

// Driven ends what [Printer.Progress] showed under the label with a summary of the load.
func (p *Printer) Driven(label string, r Result) {
	text := fmt.Sprintf("%s in %s", plural(r.Accepted, "order"), seconds(r.Elapsed))
	if r.Failed > 0 {
		text += p.red(fmt.Sprintf(", %s failed", count(r.Failed)))
	}
	p.Done(label, text)
}

// clear takes a live line off the screen. The caller holds the lock.
func (p *Printer) clear() {
	if p.shown {
		p.write("\r\x1b[2K")
		p.shown = false
	}
}

func (p *Printer) write(text string) {
	if _, err := io.WriteString(p.Out, text); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *Printer) style(code, text string) string {
	if !p.Colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *Printer) bold(s string) string   { return p.style("1", s) }
func (p *Printer) dim(s string) string    { return p.style("2", s) }
func (p *Printer) red(s string) string    { return p.style("31", s) }
func (p *Printer) green(s string) string  { return p.style("32", s) }
func (p *Printer) yellow(s string) string { return p.style("33", s) }
func (p *Printer) cyan(s string) string   { return p.style("36", s) }

// good colours a text green when ok and red when not.
func (p *Printer) good(ok bool, s string) string {
	if ok {
		return p.green(s)
	}
	return p.red(s)
}

func (p *Printer) mark(ok bool) string {
	if ok {
		return p.green("✓")
	}
	return p.red("✗")
}

// width counts columns; escape sequences take none. All characters used here are one column wide.
func width(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case escape:
			escape = r != 'm'
		case r == '\x1b':
			escape = true
		default:
			n++
		}
	}
	return n
}

// clip cuts a text to so many columns and ends its colours.
func clip(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	n, escape := 0, false
	for i, r := range s {
		switch {
		case escape:
			escape = r != 'm'
		case r == '\x1b':
			escape = true
		case n == columns:
			if strings.Contains(s[:i], "\x1b") {
				return s[:i] + "\x1b[0m"
			}
			return s[:i]
		default:
			n++
		}
	}
	return s
}

// pad fills a text with blanks on the right, padLeft on the left.
func pad(s string, columns int) string { return s + strings.Repeat(" ", max(0, columns-width(s))) }

func padLeft(s string, columns int) string {
	return strings.Repeat(" ", max(0, columns-width(s))) + s
}

var eighths = []rune(" ▏▎▍▌▋▊▉█")

// blocks draws value as a bar in which most takes so many columns, to the eighth of a column. A value above zero is never
// invisible.
func blocks(value, most float64, columns int) string {
	if value <= 0 || most <= 0 {
		return ""
	}
	n := max(1, int(min(value/most, 1)*float64(columns*8)+0.5))
	bar := strings.Repeat("█", n/8)
	if n%8 > 0 {
		bar += string(eighths[n%8])
	}
	return bar
}

var levels = []rune("▁▂▃▄▅▆▇█")

// spark draws counts as one row of columns, the highest count as a full one and zero as a blank.
func spark(counts []int) string {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	row := make([]rune, len(counts))
	for i, n := range counts {
		row[i] = ' '
		if n > 0 {
			row[i] = levels[(n*len(levels)-1)/most]
		}
	}
	return string(row)
}

// count writes a whole number with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// millis writes a duration in milliseconds, with one decimal below ten.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 9.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return count(int(ms+0.5)) + " ms"
}

// rate writes a number with one decimal below a hundred.
func rate(r float64) string {
	if r < 99.95 {
		return fmt.Sprintf("%.1f", r)
	}
	return count(int(r + 0.5))
}

// seconds writes a duration in seconds with one decimal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// plural writes a number and a word, with an s unless it is one.
func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return count(n) + " " + word
}

// clean makes a foreign text fit one line of a terminal: anything that is not printable becomes a dot.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return '.'
		}
		return r
	}, s)
}
