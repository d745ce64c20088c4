package rollup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// MarkSpace is the space of the records that hold marks, with keys that begin with the time, and one named "versions" that holds which
// versions have begun.
const MarkSpace = "marks"

const (
	versionsKey = "versions"
	// keptVersions is how many versions are remembered.
	keptVersions = 20
	markBytes    = 200
	markForm     = "2006-01-02T15:04:05.000000Z"
	maxMarks     = 1000
)

// Mark says that something happened to the program at some time, such as a deploy. Charts show it.
type Mark struct {
	At time.Time `json:"at"`
	// Text says what happened, in one line.
	Text string `json:"text"`
	// By says who set the mark; empty if a worker did, of a new version.
	By string `json:"by,omitempty"`
	// Version is the version that began; empty if the mark is about something else.
	Version string `json:"version,omitempty"`
}

// AddMark sets a mark now, by the store's clock, and returns it. The text is cleaned, and cut at 200 bytes; an empty one is a
// [*bellhop.InvalidError].
func AddMark(ctx context.Context, store bellhop.Store, text, by string) (Mark, error) {
	m := Mark{Text: oneLine(text), By: oneLine(by)}
	if m.Text == "" {
		return m, invalid("text", "it is empty: say in a few words what happened")
	}
	now, err := store.Ping(ctx)
	if err != nil {
		return m, fmt.Errorf("set a mark: %w", err)
	}
	m.At = now.UTC().Truncate(time.Microsecond)
	return m, putMark(ctx, store, m)
}

// oneLine cleans what people write.
func oneLine(text string) string {
	return bellhop.CleanText(strings.Join(strings.Fields(text), " "), markBytes)
}

func putMark(ctx context.Context, store bellhop.Store, m Mark) error {
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = store.Put(ctx, []bellhop.RecordWrite{{
		Space: MarkSpace, Key: m.At.Format(markForm) + "/" + bellhop.NewID().String(), Value: value, Expect: bellhop.ExpectNone, TTL: Kept,
	}})
	if err != nil {
		return fmt.Errorf("set a mark: %w", err)
	}
	return nil
}

// Marks returns the marks from one time up to, but not including, another, oldest first, at most 1000.
func (r *Reader) Marks(ctx context.Context, from, to time.Time) ([]Mark, error) {
	records, err := r.store.Records(ctx, &bellhop.RecordQuery{
		Space: MarkSpace, Prefix: commonPrefix(from.UTC().Format(markForm), to.UTC().Format(markForm)),
		After: from.UTC().Format(markForm), Limit: maxMarks,
	})
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	marks := []Mark{}
	for _, rec := range records {
		var m Mark
		if rec.Key == versionsKey {
			continue
		}
		if err := json.Unmarshal(rec.Value, &m); err != nil {
			return nil, fmt.Errorf("read marks: the record %.100q: %w: %w", rec.Key, errDamaged, err)
		}
		if m.At.Before(to) {
			marks = append(marks, m)
		}
	}
	return marks, nil
}

// began is one version that has begun: of the program that works those queues and kinds.
type began struct {
	Version string `json:"version"`
	Program string `json:"program"`
}

// Begun notes that a worker has begun beside the other living processes, and sets a mark if its version is news: if none of the others
// has it, and it is not the one that began last of this program. A restart is no news, nor is a start of another program on
// the same store. Versions that say nothing are not noted.
func Begun(ctx context.Context, store bellhop.Store, me *bellhop.Process, alive []bellhop.ProcessStatus, now time.Time) error {
	program := strings.Join(me.Queues, ",") + " " + strings.Join(me.Kinds, ",")
	one := began{bellhop.CleanText(me.Version, markBytes), fmt.Sprintf("%08x", hashOf(program))}
	if slices.Contains([]string{"", "unknown", "dev", "(devel)"}, one.Version) {
		return nil
	}
	for _, p := range alive {
		if p.ID != me.ID && p.Version == me.Version {
			return nil
		}
	}
	const tries = 5
	var err error
	for range tries { // others may begin now
		var news bool
		if news, err = noteVersion(ctx, store, one); errors.Is(err, bellhop.ErrConflict) {
			continue
		}
		if err != nil || !news {
			break
		}
		return putMark(ctx, store, Mark{At: now.UTC().Truncate(time.Microsecond), Text: one.Version + " begins", Version: one.Version})
	}
	if err != nil {
		return fmt.Errorf("note a version: %w", err)
	}
	return nil
}

// noteVersion adds a version to those that have begun, and reports whether it is news.
func noteVersion(ctx context.Context, store bellhop.Store, one began) (news bool, err error) {
	records, err := store.Records(ctx, &bellhop.RecordQuery{Space: MarkSpace, Keys: []string{versionsKey}})
	if err != nil {
		return false, err
	}
	var list []began // those that began last come last
	expect := bellhop.ExpectNone
	if len(records) > 0 {
		expect = records[0].Version
		if err := json.Unmarshal(records[0].Value, &list); err != nil {
			list = nil // it is not worth more than to be begun anew
		}
	}
	news = !slices.ContainsFunc(list, func(b began) bool { return b.Version == one.Version })
	for _, b := range slices.Backward(list) {
		if b.Program == one.Program {
			news = b.Version != one.Version // it may be back from a later one
			break
		}
	}
	if !news {
		return false, nil
	}
	list = append(slices.DeleteFunc(list, func(b began) bool { return b == one }), one)
	value, err := json.Marshal(list[max(len(list)-keptVersions, 0):])
	if err != nil {
		return false, err
	}
	return true, store.Put(ctx, []bellhop.RecordWrite{{Space: MarkSpace, Key: versionsKey, Value: value, Expect: expect}})
}
