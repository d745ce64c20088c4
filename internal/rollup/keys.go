package rollup

import (
	"strconv"
	"time"
)

// Space is the space of the records that hold rollups. Their keys are
//
//	<level>/<shard>/<window>             of a merged window
//	<level>/<shard>/<window>/<process>   of a minute, as one process saw it
//
// where a window is the time at which it begins, 2006-01-02T15:04Z. The shards are
//
//	a        the counts and sketches of all queues and kinds together
//	t        the counts of each kind within each queue, and how long they ran in all, without sketches: to find out which matter
//	q0, q1…  the counts and sketches of each kind within each queue, by the hash of the queue's name
//	k0, k1…  those of each kind over all queues, by the hash of the kind's name
//	f        how often jobs failed of what, and g in which words
//	c        of ten minutes: the totals of each minute, and e what was enqueued in it, of all processes together
const Space = "rollup"

// level is a length of windows.
type level struct {
	name string
	size time.Duration
	keep time.Duration // how long after its end a window can be read
	// queues and kinds are how many shards there are of them: few where windows are written often, many where a page reads hundreds of
	// one queue. Each is a multiple of those of the level that it is merged from.
	queues, kinds int
}

// levels from the shortest windows to the longest; each but the first is merged from the one before.
var levels = [...]level{
	{"1m", time.Minute, 3 * time.Hour, 8, 1},
	{"10m", 10 * time.Minute, 26 * time.Hour, 64, 4},
	{"1h", time.Hour, Kept, 256, 16},
	{"1d", 24 * time.Hour, Kept, 512, 16},
}

// tens is the level that has courses of minutes, and hours the first that is kept to the end.
const tens, hours = 1, 2

// Kept is how far back rollups reach, and Longest the longest range up to now that is offered: there is always a day to spare.
const (
	Kept    = 15 * 24 * time.Hour
	Longest = 14 * 24 * time.Hour
)

// The shards that are no number.
const (
	shardAll      = "a"
	shardTotals   = "t"
	shardFailures = "f"
	shardTexts    = "g"
	shardCourse   = "c"
	shardEnqueued = "e"
)

const windowForm = "2006-01-02T15:04Z"

// shard names the shard of a level in which a series has its sketches.
func (l *level) shard(s Series) string {
	switch {
	case s.Queue != "":
		return "q" + strconv.Itoa(l.queueShard(s.Queue))
	case s.Kind != "":
		return "k" + strconv.Itoa(int(hashOf(s.Kind)%uint32(l.kinds)))
	}
	return shardAll
}

// queueShard returns the number of the shard in which a queue is.
func (l *level) queueShard(queue string) int { return int(hashOf(queue) % uint32(l.queues)) }

// queueShards and kindShards name all shards of queues and of kinds.
func (l *level) queueShards() []string { return numbered("q", l.queues) }
func (l *level) kindShards() []string  { return numbered("k", l.kinds) }

func numbered(letter string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = letter + strconv.Itoa(i)
	}
	return list
}

func hashOf(name string) uint32 {
	h := uint32(2166136261) // FNV-1a, as hash/fnv has it, without a copy of the name
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// window returns the beginning of the window in which t is.
func (l *level) window(t time.Time) time.Time { return t.UTC().Truncate(l.size) }

func (l *level) key(shard string, window time.Time) string {
	return l.name + "/" + shard + "/" + window.UTC().Format(windowForm)
}

// before returns a text that in the order of keys comes before those of a window and after those of earlier ones.
func (l *level) before(shard string, window time.Time) string {
	key := l.key(shard, window)
	return key[:len(key)-1]
}

// windowIn returns the window that a key of the level and shard names.
func (l *level) windowIn(shard, key string) (time.Time, bool) {
	from := len(l.name) + len(shard) + 2
	if len(key) < from+len(windowForm) {
		return time.Time{}, false
	}
	t, err := time.Parse(windowForm, key[from:from+len(windowForm)])
	return t, err == nil
}
