package web

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// pace is how slowly a long reply may be taken: within grace, and one second more for each perSecond bytes. A reader who does not
// keep it is cut off: what is made for him is kept from others meanwhile.
type pace struct {
	grace     time.Duration
	perSecond int64 // bytes
}

var exportPace = pace{10 * time.Second, 32 << 10}

var errSlow = errors.New("the reader takes the reply too slowly")

// pacedWriter writes a reply to a reader who must keep a pace.
type pacedWriter struct {
	pace
	to      io.Writer
	control *http.ResponseController
	waited  time.Duration // for the reader, so far
	sent    int64         // bytes, with those that only wait to be sent
}

// Write writes, unless the reader has used up his time.
func (p *pacedWriter) Write(b []byte) (n int, err error) {
	p.sent += int64(len(b))
	err = p.wait(func() error { n, err = p.to.Write(b); return err })
	return n, err
}

// Flush sends what was written.
func (p *pacedWriter) Flush() error { return p.wait(p.control.Flush) }

// wait does what may have to wait for the reader.
func (p *pacedWriter) wait(send func() error) error {
	left := p.grace + time.Duration(float64(p.sent)/float64(p.perSecond)*float64(time.Second)) - p.waited
	if left <= 0 {
		return errSlow
	}
	began := time.Now()
	_ = p.control.SetWriteDeadline(began.Add(min(left, writeLive))) // a writer without deadlines has none to set
	err := send()
	p.waited += time.Since(began)
	return err
}
