package bellhop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Definition ties a kind to its arguments' type and to how its jobs are to be
// treated. Declare it once, as a variable that the code that enqueues and the
// code that works share.
type Definition[T any] struct {
	kind  string
	set   settings
	opts  []Option
	check func(T) error // nil: all arguments are good
}

// Define declares a kind of job with arguments of type T. Because definitions
// are package variables, a mistake in the kind or an option is a panic, with one
// line that says what to change.
func Define[T any](kind string, opts ...Option) *Definition[T] {
	err := asInvalid("kind", CheckName("kind", kind))
	var set settings
	if err == nil {
		set, err = settings{}.with(atDefinition, opts)
	}
	check, fits := set.check.(func(T) error)
	if err == nil && set.check != nil && !fits {
		err = invalid("check", "Check was given a %T, but the arguments are of type %v", set.check, reflect.TypeFor[T]())
	}
	if err != nil {
		panic(fmt.Sprintf("%v (in Define(%q))", err, kind))
	}
	if set.codec == nil {
		set.codec = jsonCodec{}
	}
	return &Definition[T]{kind: kind, set: set, opts: opts, check: check}
}

// Kind returns the kind.
func (d *Definition[T]) Kind() string { return d.kind }

// Enqueue hands over one job. The receipt names it; when Enqueue returns nil,
// the job is kept as surely as the store keeps anything.
//
// Through a [Client] the job is there for workers at once. Through a [Bound] it
// is there when the caller's transaction commits.
func (d *Definition[T]) Enqueue(ctx context.Context, e Enqueuer, args T, opts ...Option) (Receipt, error) {
	receipts, err := Enqueue(ctx, e, d.New(args, opts...))
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// EnqueueMany hands over one job for each of args, all or none, at most
// [MaxBatch]. The options hold for each; [WithID] and [UniqueKey], of which one
// value can be one job's only, are refused. Receipts come in the order of args.
func (d *Definition[T]) EnqueueMany(ctx context.Context, e Enqueuer, args []T, opts ...Option) ([]Receipt, error) {
	for _, o := range opts {
		if o.levels&forOne != 0 && len(args) > 1 {
			return nil, invalid("option", "%s is for one job, and %d were given: make each by New with its own, and hand them over by Enqueue", o.name, len(args))
		}
	}
	drafts := make([]Draft, len(args))
	for i, a := range args {
		drafts[i] = d.New(a, opts...)
	}
	return Enqueue(ctx, e, drafts...)
}

// New makes a job that is not yet enqueued, for [Enqueue], which encodes args.
func (d *Definition[T]) New(args T, opts ...Option) Draft {
	return Draft{kind: d.kind, opts: opts, base: d.opts, encode: func() ([]byte, error) {
		var v any = args // once, because it costs an allocation
		if err := ValidStrings(v); err != nil {
			return nil, err
		}
		if err := d.checkArgs(args); err != nil {
			return nil, err
		}
		encoded, err := d.set.codec.Encode(v)
		if err != nil {
			return nil, err
		}
		return openSeals(encoded)
	}}
}

// Raw makes a job that is not yet enqueued from arguments that are JSON
// already. They are decoded once to see that they fit T, and kept as the very
// bytes that they are, without a copy: they must not be changed afterwards.
func (d *Definition[T]) Raw(args []byte, opts ...Option) Draft {
	draft := RawJob(d.kind, args, opts...)
	draft.base = d.opts
	draft.verify = func(args []byte) error {
		var v T
		if err := d.set.codec.Decode(args, &v); err != nil {
			return fmt.Errorf("do not fit the kind %s: %w", d.kind, err)
		}
		return d.checkArgs(v)
	}
	return draft
}

func (d *Definition[T]) checkArgs(v T) error {
	if d.check == nil {
		return nil
	}
	return d.check(v)
}

// Kinded is what all definitions have in common, whatever their arguments' type.
type Kinded interface {
	// Kind returns the kind.
	Kind() string
	// Raw makes a job from arguments that are JSON already; see [Definition.Raw].
	Raw(args []byte, opts ...Option) Draft
}

// With ties the definition to the function that does the work, for a worker's Handle.
func (d *Definition[T]) With(fn func(context.Context, T) error) Handler {
	if fn == nil {
		panic(fmt.Sprintf("bellhop: the handler of %s is nil", d.kind))
	}
	return Handler{kind: d.kind, policy: d.set.policy, run: func(ctx context.Context, args []byte) error {
		var v T
		if err := d.set.codec.Decode(args, &v); err != nil {
			return &ArgumentsError{Kind: d.kind, Err: err}
		}
		return fn(ctx, v)
	}}
}

// Handler is a kind, its policy, and the function that does its work.
type Handler struct {
	kind   string
	policy Policy
	run    func(ctx context.Context, args []byte) error
}

// Kind returns the kind that the handler works.
func (h Handler) Kind() string { return h.kind }

// Policy returns the definition's rules about errors.
func (h Handler) Policy() Policy { return h.policy }

// Run decodes the arguments and calls the function. Arguments that do not
// decode are an [*ArgumentsError].
func (h Handler) Run(ctx context.Context, args []byte) error { return h.run(ctx, args) }

// ArgumentsError says that a job's arguments no longer fit its handler's type.
// It is a failure like any other: the job is retried, since the next release may
// read them again, and is dead in the end, with its arguments intact.
type ArgumentsError struct {
	Kind string
	Err  error
}

// Error returns one line.
func (e *ArgumentsError) Error() string {
	return fmt.Sprintf("the arguments do not fit the handler of %s: %v", e.Kind, e.Err)
}

// Unwrap returns the codec's error.
func (e *ArgumentsError) Unwrap() error { return e.Err }

// Codec turns arguments into JSON and back.
type Codec interface {
	// Encode returns v as JSON.
	Encode(v any) ([]byte, error)
	// Decode reads JSON into what v points to.
	Decode(data []byte, v any) error
}

type jsonCodec struct{}

func (jsonCodec) Encode(v any) ([]byte, error)    { return json.Marshal(v) }
func (jsonCodec) Decode(data []byte, v any) error { return decodeJSON(data, v) }

// Draft is a job that is not yet enqueued: made by [Definition.New],
// [Definition.Raw] or [RawJob], handed over by [Enqueue].
type Draft struct {
	kind   string
	base   []Option
	opts   []Option
	encode func() ([]byte, error)
	// verify looks at arguments that are known to be JSON within the limit; nil if there is nothing more to ask.
	verify func(args []byte) error
}

// RawJob makes a job of a kind that this program has no definition of, from
// arguments that are JSON. Defaults are the client's. The arguments are not
// copied: they must not be changed afterwards.
func RawJob(kind string, args []byte, opts ...Option) Draft {
	return Draft{kind: kind, opts: opts, encode: func() ([]byte, error) {
		if hasSeals(args) {
			return nil, errors.New("hold a Secret under seal, which nobody could open later: enqueue them through their definition")
		}
		return args, nil
	}}
}

// job checks the draft against every rule that holds in all stores, and makes the job.
func (d Draft) job(client settings) (*Job, error) {
	if d.encode == nil {
		return nil, invalid("job", "an empty Draft{} was given; drafts are made by Definition.New or RawJob")
	}
	if err := CheckName("kind", d.kind); err != nil {
		return nil, asInvalid("kind", err)
	}
	s, err := client.with(atDefinition, d.base)
	if err == nil {
		s, err = s.with(atCall, d.opts)
	}
	if err != nil {
		return nil, err
	}
	args, err := d.encode()
	if err != nil {
		return nil, asInvalid("arguments", err)
	}
	if len(args) > s.maxArgs {
		return nil, invalid("arguments", "%d bytes are more than the limit of %d: store the data and pass its id", len(args), s.maxArgs)
	}
	if err := ValidateJSON(args); err != nil {
		return nil, asInvalid("arguments", err)
	}
	if d.verify != nil {
		if err := d.verify(args); err != nil {
			return nil, asInvalid("arguments", err)
		}
	}
	j := &Job{
		ID: s.id, Kind: d.kind, Queue: s.queue, Priority: s.priority, Args: args,
		RunAt: s.runAt, Delay: s.delay, Attempts: s.attempts, Timeout: s.timeout,
		Retention: s.retention, Meta: maps.Clone(s.meta), // its own, because middleware may change it
	}
	if j.ID.IsZero() {
		j.ID = NewID()
	}
	if err := j.setTags(s.tags); err != nil {
		return nil, err
	}
	if err := checkMeta(j.Meta); err != nil {
		return nil, err
	}
	j.UniqueKey, err = s.uniqueKeyFor(j)
	return j, err
}

func (j *Job) setTags(tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	tags = slices.Clone(tags)
	slices.Sort(tags)
	j.Tags = slices.Compact(tags)
	if len(j.Tags) > MaxTags {
		return invalid("tags", "%d tags are more than the limit of %d", len(j.Tags), MaxTags)
	}
	return nil
}

func checkMeta(meta map[string]string) error {
	if len(meta) == 0 {
		return nil
	}
	size := 0
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		size += len(key) + len(meta[key])
		if err := CheckName("metadata key", key); err != nil { // middleware may have set any
			return asInvalid("metadata", err)
		}
		if err := checkMetaValue(key, meta[key]); err != nil {
			return err
		}
	}
	if size > MaxMeta {
		return invalid("metadata", "%d bytes are more than the limit of %d", size, MaxMeta)
	}
	return nil
}

func checkMetaValue(key, value string) error {
	if err := ValidStrings(value); err != nil {
		return invalid("metadata", "the value of %s %v", key, err)
	}
	return nil
}

// uniqueKeyFor names what is unique. Keys of different kinds never meet, nor
// do given keys and those made from arguments: a kind has no space in it.
func (s *settings) uniqueKeyFor(j *Job) (string, error) {
	switch {
	case !s.unique:
		return "", nil
	case s.uniqueKey != "":
		key := j.Kind + " key " + s.uniqueKey
		if len(key) > MaxUniqueKey {
			return "", invalid("unique", "the key of %d bytes is too long for a kind of %d: want at most %d together",
				len(s.uniqueKey), len(j.Kind), MaxUniqueKey-len(" key "))
		}
		return key, nil
	}
	canonical, err := CanonicalJSON(j.Args)
	if err != nil {
		return "", asInvalid("arguments", err)
	}
	sum := sha256.Sum256(canonical)
	return j.Kind + " args " + hex.EncodeToString(sum[:16]), nil
}
