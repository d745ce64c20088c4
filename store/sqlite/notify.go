package sqlite

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// While somebody listens, the store looks whether another process has written.
const (
	// lookEvery is how often it looks at the files, which costs some microseconds.
	lookEvery = 5 * time.Millisecond
	// askEvery is how often it asks SQLite besides, since the times of files are
	// not everywhere kept at once.
	askEvery = 4 * lookEvery
	// sameTime is how long a file may be written to without another time.
	sameTime = 20 * time.Millisecond
)

// poller watches for commits of other processes while somebody listens.
type poller struct {
	mu        sync.Mutex
	listeners int
	halt      func() // ends the watching and waits for its end; nil if there is none
}

// Notify implements [bellhop.Notifier]. fn is called at once for what happens
// through this store, with the queue's name, and some milliseconds after others
// have committed something that makes asking worth while, with an empty one.
func (s *Store) Notify(fn func(queue string)) (stop func()) {
	remove := s.Store.Notify(fn)
	s.poller.mu.Lock()
	if s.poller.listeners++; s.poller.listeners == 1 && s.settings.path != "" {
		end, done := make(chan struct{}), make(chan struct{})
		s.poller.halt = func() { close(end); <-done }
		go s.poll(end, done)
	}
	s.poller.mu.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			remove()
			s.poller.remove()
		})
	}
}

// Join implements [bellhop.Joiner].
func (s *Store) Join(offer func(ready []*bellhop.Job) *bellhop.Offer) (stop func()) {
	return s.JoinEnqueues(offer)
}

// remove ends the watching with the last listener. Who begins to listen
// meanwhile begins another watching, which is not touched.
func (p *poller) remove() {
	p.mu.Lock()
	var halt func()
	if p.listeners--; p.listeners == 0 {
		halt, p.halt = p.halt, nil
	}
	p.mu.Unlock()
	if halt != nil {
		halt()
	}
}

// stop ends the watching and waits for its end.
func (p *poller) stop() {
	p.mu.Lock()
	halt := p.halt
	p.halt = nil
	p.mu.Unlock()
	if halt != nil {
		halt()
	}
}

func (s *Store) poll(end <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	seen := view{versions: map[any]int64{}}
	var before written
	for tick := 0; ; tick++ {
		select {
		case <-end:
			return
		case <-ticker.C:
		}
		now := lastWritten(s.settings.path, s.settings.log)
		if (now != before || time.Since(now.at) < sameTime || tick%int(askEvery/lookEvery) == 0) && s.changed(&seen) {
			s.Wake()
		}
		before = now
	}
}

// written tells what a look at the files of a database shows of commits: the
// sum of the sizes and the later time of the database and its write-ahead log.
type written struct {
	size int64
	at   time.Time
}

func lastWritten(files ...string) (w written) {
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			continue // the log comes and goes; without the database SQLite has the say
		}
		w.size += info.Size()
		if info.ModTime().After(w.at) {
			w.at = info.ModTime()
		}
	}
	return w
}

// view is what the last look has shown.
type view struct {
	versions map[any]int64 // of the database, as each connection has seen it
	nextDue  sql.NullInt64 // of the scheduled jobs
}

// newsQuery tells whether a job is ready, and when the next scheduled one is due.
// Without it each beat and each empty answer of one worker would wake all others.
const newsQuery = "select exists (select 1 from bellhop_ready), (select min(due) from bellhop_scheduled)"

// changed reports whether somebody else has committed what may be news to a worker
// since the last look: there are ready jobs, or one is due sooner than was known. The
// connection that we write through tells of the commits of all others, so our
// own do not count. It is asked only when it is free: whoever uses it learns
// what is new anyway.
func (s *Store) changed(seen *view) bool {
	if !s.theirs {
		select {
		case <-s.gate.turn:
		default:
			return false
		}
		defer func() { s.gate.turn <- struct{}{} }()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, release, err := s.pool.Conn(ctx)
	if err != nil {
		return false
	}
	defer release()
	var id any
	if err := conn.Raw(func(c any) error { id = c; return nil }); err != nil {
		return false
	}
	var version int64
	if err := conn.QueryRowContext(ctx, "pragma data_version").Scan(&version); err != nil {
		return false
	}
	before, known := seen.versions[id]
	if len(seen.versions) > 100 { // connections come and go
		clear(seen.versions)
	}
	seen.versions[id] = version
	if !known || before == version {
		return false
	}
	var ready bool
	var due sql.NullInt64
	if err := conn.QueryRowContext(ctx, newsQuery).Scan(&ready, &due); err != nil {
		return true // whatever it is, the worker will hear of it
	}
	sooner := due.Valid && (!seen.nextDue.Valid || due.Int64 < seen.nextDue.Int64)
	seen.nextDue = due
	return ready || sooner
}
