//go:build unix

package main

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// outage is the time from the kill of the server until it answered again.
type outage struct {
	from, until time.Time
}

// startServer starts the private server, if one is wanted, and has the storm use a new database of it. Closing it ends it.
func (s *settings) startServer() (err error) {
	if s.server == "" {
		return nil
	}
	if s.private, err = testservers.Launch(s.server); err != nil {
		return err
	}
	s.store, err = s.private.Database()
	if s.server == testservers.NamePostgres {
		s.store += "&migrate=auto"
	} else {
		s.store += "?migrate=auto"
	}
	return err
}

func (s *settings) closeServer() error {
	if s.private == nil {
		return nil
	}
	return s.private.Close()
}

// strikeServer kills the server and starts it again a little later. Worker processes that have only just been started are waited
// for: that they do not begin without a server is no matter of this storm.
func (w *weather) strikeServer(ctx context.Context) error {
	for _, k := range w.children.list() {
		if err := k.works(ctx, w.client.Store(), 30*time.Second); err != nil {
			return err
		}
	}
	o := outage{from: time.Now()}
	if err := w.private.Kill(); err != nil {
		return err
	}
	time.Sleep(time.Duration(w.random.Int64N(int64(w.away)))) // a random moment is the point
	if err := w.private.Start(); err != nil {
		return err
	}
	o.until = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.downs = append(w.downs, o)
	return nil
}

// handing is how long the outcome of a run may take to its store, after the run's last line in the ledger: on a busy machine, whose
// disk may stand still for some seconds.
const handing = 5 * time.Second

// outed reports whether the run, or the handing in of its outcome, fell into an outage, and when that began.
func (w *weather) outed(r *run) (at time.Time, is bool) {
	for _, o := range w.downs {
		if r.start.Before(o.until) && (r.how == 0 || r.end.Add(handing).After(o.from)) {
			return o.from, true
		}
	}
	return at, false
}

// absences returns how long the outages were.
func (w *weather) absences() (list []time.Duration) {
	for _, o := range w.downs {
		list = append(list, o.until.Sub(o.from))
	}
	return list
}
