package cli

import (
	"fmt"
	"time"
)

// progress tells how far long work has come: in place on a terminal, else as a line every few seconds.
type progress struct {
	err   stream
	every time.Duration
	last  time.Time
	drawn bool
}

func (a *app) progress() *progress {
	p := &progress{err: a.err, every: 5 * time.Second, last: time.Now()}
	if a.err.tty {
		p.every = 100 * time.Millisecond
	}
	return p
}

// say shows a text, if the last one is old enough.
func (p *progress) say(format string, args ...any) {
	if time.Since(p.last) < p.every {
		return
	}
	p.last = time.Now()
	text := oneLine(fmt.Sprintf(format, args...))
	if !p.err.tty {
		fmt.Fprintln(p.err, text)
		return
	}
	fmt.Fprintf(p.err, "\r\x1b[K%s", cutText(text, max(p.err.width-1, 20)))
	p.drawn = true
}

// end takes the text away again.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.err, "\r\x1b[K")
	}
}
