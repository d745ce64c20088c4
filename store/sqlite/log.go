package sqlite

import (
	"context"
	"os"
	"time"
)

// maxLog is how many bytes the write-ahead log may have before it is made to
// start again at its beginning, and how many stay on disk when it has.
const maxLog = 64 << 20

// logKeeper is the gate, and keeps the write-ahead log short. SQLite works the
// log off by itself after a commit, but lets it start again only at a moment at
// which nobody reads from it. Where readers overlap without a gap that moment
// never comes, and the log grows for ever. So whoever leaves the gate and finds a
// log that is too long stays at it for a moment: while nothing is written, who
// begins to read needs the log no more, and soon nobody does.
type logKeeper struct {
	*gate
	store *Store
	// Used by the one who is through the gate: when to look again, and how long to wait after the next vain try.
	next time.Time
	wait time.Duration
}

const (
	// logEvery is how often writers look at the log's size. Linux gives a file whose times somebody has looked at a new
	// time with its next write, which fsync must then put on disk as well: after each commit, a look makes the next a third dearer.
	logEvery = 50 * time.Millisecond
	// The waits after a try that met a reader who stayed: firstLogWait, doubled up to lastLogWait.
	firstLogWait = 250 * time.Millisecond
	lastLogWait  = 30 * time.Second
)

// Leave lets the next one through.
func (k *logKeeper) Leave() {
	if now := time.Now(); !now.Before(k.next) {
		k.next = now.Add(logEvery)
		if info, err := os.Stat(k.store.settings.log); err == nil && info.Size() > k.store.settings.maxLog {
			k.restart()
		}
	}
	k.gate.Leave()
}

// restart works the log off and waits until nobody reads from it, no longer
// than the busy timeout of the writing connection: 200 ms.
func (k *logKeeper) restart() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var busy, frames, done int
	conn, release, err := k.store.pool.Conn(ctx)
	if err == nil {
		err = conn.QueryRowContext(ctx, "pragma wal_checkpoint(truncate)").Scan(&busy, &frames, &done)
		release()
	}
	if err == nil && busy == 0 {
		k.wait = 0
		return
	}
	k.wait = min(max(firstLogWait, 2*k.wait), lastLogWait)
	k.next = time.Now().Add(k.wait)
}
