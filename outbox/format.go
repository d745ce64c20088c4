package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

// formatNow is the format of the column job in which rows are written. A format, once released, is never changed:
// rows of it may wait in somebody's database. What it cannot say needs a new number.
const formatNow = 1

// jobV1 is format 1: all of a job but its id and arguments, which have columns of their own. Members that are
// zero are left out. Durations are nanoseconds, moments microseconds since 1970.
type jobV1 struct {
	Kind      string            `json:"kind"`
	Queue     string            `json:"queue"`
	Priority  int               `json:"priority,omitempty"`
	RunAt     *int64            `json:"run_at,omitempty"`
	Delay     time.Duration     `json:"delay,omitempty"`
	Attempts  int               `json:"attempts"`
	Timeout   time.Duration     `json:"timeout,omitempty"`
	Retention time.Duration     `json:"retention,omitempty"`
	UniqueKey string            `json:"unique_key,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Meta      map[string]string `json:"meta,omitempty"`
}

// encode returns a job, without id and arguments, in the format of now. The text is ASCII, so that it comes through
// whatever character set the user's database and connection have.
func encode(j *bellhop.Job) (string, error) {
	v := jobV1{
		Kind: j.Kind, Queue: j.Queue, Priority: j.Priority, Delay: j.Delay, Attempts: j.Attempts, Timeout: j.Timeout,
		Retention: j.Retention, UniqueKey: j.UniqueKey, Tags: j.Tags, Meta: j.Meta,
	}
	if !j.RunAt.IsZero() {
		micros := j.RunAt.UnixMicro()
		v.RunAt = &micros
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode the job: %w", err)
	}
	return ascii(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// errLater says that a row was written by a later release.
var errLater = errors.New("of a later format")

// decode makes the job of a row. An error says why the row cannot be moved: [errLater] that this release is too old for
// it, any other that no release can.
func decode(id string, format int, text string, args []byte) (*bellhop.Job, error) {
	switch {
	case format > formatNow:
		return nil, fmt.Errorf("%w: format %d, and this release reads up to %d: run the relay of the newer release", errLater, format, formatNow)
	case format != 1:
		return nil, fmt.Errorf("there is no format %d", format)
	}
	var v jobV1
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the column job is not readable: %w", err)
	}
	if d.More() {
		return nil, errors.New("the column job is not readable: something stands behind its end")
	}
	j := &bellhop.Job{
		Kind: v.Kind, Queue: v.Queue, Priority: v.Priority, Args: args, Delay: v.Delay, Attempts: v.Attempts, Timeout: v.Timeout,
		Retention: v.Retention, UniqueKey: v.UniqueKey, Tags: v.Tags, Meta: v.Meta,
	}
	if v.RunAt != nil {
		j.RunAt = time.UnixMicro(*v.RunAt).UTC()
	}
	var err error
	if j.ID, err = bellhop.ParseID(id); err != nil {
		return nil, err
	}
	return j, check(j)
}

// check refuses what no client would have written, so that a row that was changed by hand or damaged does not reach
// the store: stores take for granted that jobs are valid.
func check(j *bellhop.Job) error {
	if j.ID.IsZero() {
		return errors.New("the id is zero")
	}
	if err := bellhop.CheckName("kind", j.Kind); err != nil {
		return err
	}
	if err := bellhop.CheckName("queue", j.Queue); err != nil {
		return err
	}
	if len(j.Args) > bellhop.MaxArgs {
		return fmt.Errorf("%d bytes of arguments are more than the limit of %d", len(j.Args), bellhop.MaxArgs)
	}
	if err := bellhop.ValidateJSON(j.Args); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	switch {
	case j.Priority < bellhop.MinPriority || j.Priority > bellhop.MaxPriority:
		return fmt.Errorf("priority %d is out of range", j.Priority)
	case j.Attempts < 1:
		return fmt.Errorf("%d attempts are out of range", j.Attempts)
	case j.Delay < 0 || j.Timeout < 0 || j.Retention < 0 && j.Retention != bellhop.Forever:
		return errors.New("a duration is negative")
	case j.Delay > 0 && !j.RunAt.IsZero():
		return errors.New("run_at and delay are both set")
	case len(j.UniqueKey) > bellhop.MaxUniqueKey:
		return fmt.Errorf("a unique key of %d bytes is longer than %d", len(j.UniqueKey), bellhop.MaxUniqueKey)
	case len(j.Tags) > bellhop.MaxTags:
		return fmt.Errorf("%d tags are more than %d", len(j.Tags), bellhop.MaxTags)
	}
	for i, tag := range j.Tags {
		if err := bellhop.CheckName("tag", tag); err != nil {
			return err
		}
		if i > 0 && tag <= j.Tags[i-1] {
			return errors.New("the tags are not sorted, or one stands twice")
		}
	}
	size := 0
	for key, value := range j.Meta {
		size += len(key) + len(value)
		if err := bellhop.CheckName("metadata key", key); err != nil {
			return err
		}
	}
	if err := bellhop.ValidStrings([]any{j.UniqueKey, j.Meta}); err != nil {
		return err
	}
	if size > bellhop.MaxMeta {
		return fmt.Errorf("%d bytes of metadata are more than %d", size, bellhop.MaxMeta)
	}
	return nil
}

// ascii escapes what is not ASCII in a JSON text, or in one that is for people.
func ascii(text []byte) string {
	plain := true
	for _, c := range text {
		plain = plain && c < utf8.RuneSelf
	}
	if plain {
		return string(text)
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case high != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
