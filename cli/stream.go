package cli

import (
	"cmp"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/term"
)

// stream is one of the three standard streams, and what is known about it.
type stream struct {
	io.Reader
	io.Writer
	tty   bool
	width int  // columns; 0 if there is no end to a line
	color bool // escape codes for colour are welcome
}

// outStream looks at where output goes.
func outStream(w io.Writer, env func(string) string) stream {
	s := stream{Writer: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.tty, s.width = true, 80
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		s.width = columns
	}
	if n, err := strconv.Atoi(env("COLUMNS")); err == nil && n >= 20 && n <= 1000 {
		s.width = n
	}
	s.color = env("NO_COLOR") == "" && env("TERM") != "dumb"
	return s
}

// keptError is a writer that keeps its first error, so that not every line that is printed has to be asked for its own.
type keptError struct {
	io.Writer
	mu  sync.Mutex
	err error
}

func (w *keptError) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = cmp.Or(w.err, err)
	}
	return n, err
}

func (w *keptError) first() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// inStream looks at where input comes from.
func inStream(r io.Reader) stream {
	f, ok := r.(*os.File)
	return stream{Reader: r, tty: ok && term.IsTerminal(int(f.Fd()))}
}

// Colours, as the numbers of escape sequences.
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

// paint colours a text that holds no escape codes itself.
func (s stream) paint(color, text string) string {
	if !s.color || color == plain || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
