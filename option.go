package bellhop

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Option sets one thing: for a client ([Open], [NewClient]), a definition
// ([Define]), one call ([Definition.Enqueue]) or a rule ([RetryOn]). The nearer
// level wins: call, then definition, then client; tags and metadata add up. An
// option at a level where it means nothing is refused at once.
type Option struct {
	name   string
	levels level
	apply  func(*settings) error
}

type level uint8

const (
	atClient level = 1 << iota
	atDefinition
	atCall
	atRule
	// forOne is no level: the option's value can be that of one job only.
	forOne
)

func (l level) String() string {
	return map[level]string{atClient: "a client", atDefinition: "a definition", atCall: "one call", atRule: "a rule"}[l]
}

// settings is what options add up to.
type settings struct {
	id        ID
	queue     string
	priority  int
	runAt     time.Time
	delay     time.Duration
	attempts  int
	timeout   time.Duration
	retention time.Duration
	unique    bool
	uniqueKey string
	tags      []string
	meta      map[string]string

	policy Policy
	codec  Codec
	check  any // a func(T) error, of the definition's T

	maxArgs    int
	logger     *slog.Logger
	listeners  []func(Event)
	middleware []EnqueueMiddleware
}

// with returns the settings after the options have been applied at a level.
// What the receiver refers to is not changed.
func (s settings) with(at level, opts []Option) (settings, error) {
	if len(opts) == 0 {
		return s, nil // what follows costs an allocation
	}
	return s.apply(at, opts)
}

func (s settings) apply(at level, opts []Option) (settings, error) {
	s.tags, s.listeners = slices.Clip(s.tags), slices.Clip(s.listeners)
	s.middleware, s.policy.Rules = slices.Clip(s.middleware), slices.Clip(s.policy.Rules)
	s.meta = maps.Clone(s.meta)
	for _, o := range opts {
		if o.apply == nil {
			return s, invalid("option", "an empty Option{} was given; options are made by functions such as Queue or At")
		}
		if o.levels&at == 0 {
			return s, invalid("option", "%s means nothing for %v: give it to %s", o.name, at, o.levels.choices())
		}
		if err := o.apply(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (l level) choices() string {
	text := ""
	for _, at := range []level{atClient, atDefinition, atCall, atRule} {
		if l&at == 0 {
			continue
		}
		if text != "" {
			text += " or "
		}
		text += at.String()
	}
	return text
}

const atJob = atClient | atDefinition | atCall

// Queue names the queue: 1 to 128 characters as [CheckName] allows. Default: [DefaultQueue].
func Queue(name string) Option {
	return Option{"Queue", atJob, func(s *settings) error {
		s.queue = name
		return asInvalid("queue", CheckName("queue", name))
	}}
}

// Priority orders jobs within a queue: -9 first, 9 last. Default: 0.
func Priority(p int) Option {
	return Option{"Priority", atJob, func(s *settings) error {
		if p < MinPriority || p > MaxPriority {
			return invalid("priority", "%d is out of range: want %d (first) to %d (last)", p, MinPriority, MaxPriority)
		}
		s.priority = p
		return nil
	}}
}

// The range of times that At accepts. Outside it lie mistakes: a zero time, a
// sentinel for "never", seconds taken for milliseconds.
var (
	earliestRunAt = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latestRunAt   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// At makes the job due at t, by the store's clock, to the microsecond. A time
// that has passed means now. Times before 1970 or from 2200 on are refused. It
// takes the place of an earlier [In].
func At(t time.Time) Option {
	return Option{"At", atCall, func(s *settings) error {
		if t.Before(earliestRunAt) || !t.Before(latestRunAt) {
			return invalid("run-at", "%s is out of range: want a time from 1970 to 2199", t.Format(time.RFC3339))
		}
		s.runAt, s.delay = t.UTC().Truncate(time.Microsecond), 0
		return nil
	}}
}

// In makes the job due d after the store has taken it. A negative d is refused,
// as is one of more than a hundred years. It takes the place of an earlier [At].
func In(d time.Duration) Option {
	return Option{"In", atCall | atDefinition, func(s *settings) error {
		if d < 0 || d > 100*MaxWait {
			return invalid("delay", "%v is out of range: want 0 to 100 years", d)
		}
		s.delay, s.runAt = d.Truncate(time.Microsecond), time.Time{}
		return nil
	}}
}

// Attempts is how many failures make the job dead: 1 to 10,000. Default: 25.
// Within [RetryOn] it holds for errors that match the rule; all failures of
// the job count.
func Attempts(n int) Option {
	return Option{"Attempts", atJob | atRule, func(s *settings) error {
		if n < 1 || n > 10_000 {
			return invalid("attempts", "%d is out of range: want 1 to 10000", n)
		}
		s.attempts = n
		return nil
	}}
}

// Timeout bounds each attempt: when it has passed, the handler's context is
// cancelled with [ErrTimeout]. 0 means none, which is the default.
func Timeout(d time.Duration) Option {
	return Option{"Timeout", atJob, func(s *settings) error {
		if d < 0 || d > 0 && d < time.Millisecond {
			return invalid("timeout", "%v is out of range: want 0 (none) or at least 1ms", d)
		}
		s.timeout = d.Truncate(time.Microsecond)
		return nil
	}}
}

// Retention is how long a finished job is kept: at least 1 s, or [Forever].
// Default: 1 day if it succeeded, 7 days if it was discarded or cancelled. Dead
// jobs are always kept until a person or an action removes them.
func Retention(d time.Duration) Option {
	return Option{"Retention", atJob, func(s *settings) error {
		if d != Forever && d < time.Second {
			return invalid("retention", "%v is out of range: want at least 1s, or Forever", d)
		}
		s.retention = d.Truncate(time.Microsecond)
		if d == Forever {
			s.retention = Forever
		}
		return nil
	}}
}

// Unique lets at most one live job (scheduled, blocked, ready or running) have
// the same kind and arguments. The order of object members and white space do
// not matter. An enqueue that finds one returns its id and Existing.
func Unique() Option {
	return Option{"Unique", atDefinition | atCall, func(s *settings) error {
		s.unique, s.uniqueKey = true, ""
		return nil
	}}
}

// UniqueKey lets at most one live job of the kind have the key: 1 to 400 bytes of text,
// and with the kind at most 507.
func UniqueKey(key string) Option {
	return Option{"UniqueKey", atCall | forOne, func(s *settings) error {
		if key == "" || len(key) > 400 || CleanText(key, 512) != key {
			return invalid("unique", "the key %.64q is not usable: want 1 to 400 bytes of valid text without control characters", key)
		}
		s.unique, s.uniqueKey = true, key
		return nil
	}}
}

// WithID gives the job an id of the caller's choice instead of a new one, so
// that a repeated enqueue is the same job: see [NewID] and [IDFromKey].
func WithID(id ID) Option {
	return Option{"WithID", atCall | forOne, func(s *settings) error {
		if id.IsZero() {
			return invalid("id", "the id is zero; make one with NewID")
		}
		s.id = id
		return nil
	}}
}

// Tags adds words by which the job can be found: names as [CheckName] allows, at most [MaxTags].
func Tags(tags ...string) Option {
	return Option{"Tags", atJob, func(s *settings) error {
		for _, t := range tags {
			if err := CheckName("tag", t); err != nil {
				return asInvalid("tags", err)
			}
		}
		s.tags = append(s.tags, tags...)
		return nil
	}}
}

// Meta adds a value that travels with the job beside its arguments: a key as
// [CheckName] allows, and valid UTF-8 without NUL. All keys and values together may
// have at most [MaxMeta] bytes.
func Meta(key, value string) Option {
	return Option{"Meta", atJob, func(s *settings) error {
		if err := CheckName("metadata key", key); err != nil {
			return asInvalid("metadata", err)
		}
		if err := checkMetaValue(key, value); err != nil {
			return err
		}
		if s.meta == nil {
			s.meta = map[string]string{}
		}
		s.meta[key] = value
		return nil
	}}
}

// RetryOn says how to retry after an error that matches target: an error
// (compared by [errors.Is]), or a func(error) bool such as [ErrorType] makes.
// [Attempts] among the options sets how many failures are too many. Rules are
// tried in the order of their declaration; the first that matches decides.
func RetryOn(target any, backoff Backoff, opts ...Option) Option {
	return Option{"RetryOn", atDefinition, func(s *settings) error {
		match, err := matcher(target)
		if err != nil {
			return asInvalid("RetryOn", err)
		}
		o, err := settings{}.with(atRule, opts)
		if err != nil {
			return err
		}
		s.policy.Rules = append(s.policy.Rules, Rule{match: match, backoff: backoff, attempts: o.attempts})
		return nil
	}}
}

// DiscardOn ends the job as discarded after an error that matches target, as for [RetryOn].
func DiscardOn(target any) Option {
	return Option{"DiscardOn", atDefinition, func(s *settings) error {
		match, err := matcher(target)
		if err != nil {
			return asInvalid("DiscardOn", err)
		}
		s.policy.Rules = append(s.policy.Rules, Rule{match: match, discard: true})
		return nil
	}}
}

// RetryBackoff is the wait after errors that no rule matches. Default: [Polynomial].
func RetryBackoff(b Backoff) Option {
	return Option{"RetryBackoff", atDefinition, func(s *settings) error {
		s.policy.Backoff = b
		return nil
	}}
}

// Check examines arguments before they are enqueued; an error refuses them.
// T is the definition's type of arguments; with another one Define panics.
func Check[T any](fn func(T) error) Option {
	return Option{"Check", atDefinition, func(s *settings) error {
		if fn == nil {
			return invalid("check", "the function is nil")
		}
		s.check = fn
		return nil
	}}
}

// WithCodec sets how arguments become JSON and back. Default: encoding/json.
func WithCodec(c Codec) Option {
	return Option{"WithCodec", atDefinition, func(s *settings) error {
		if c == nil {
			return invalid("codec", "the codec is nil")
		}
		s.codec = c
		return nil
	}}
}

// MaxArguments sets how many bytes of arguments the client accepts for one job:
// 1 to [MaxArgs]. Default: [DefaultMaxArgs].
func MaxArguments(bytes int) Option {
	return Option{"MaxArguments", atClient, func(s *settings) error {
		if bytes < 1 || bytes > MaxArgs {
			return invalid("max arguments", "%d is out of range: want 1 to %d bytes", bytes, MaxArgs)
		}
		s.maxArgs = bytes
		return nil
	}}
}

// Logger sets where the client and workers log. Default: [slog.Default], as it is
// when the client is made.
func Logger(l *slog.Logger) Option {
	return Option{"Logger", atClient, func(s *settings) error {
		if l == nil {
			return invalid("logger", "the logger is nil")
		}
		s.logger = l
		return nil
	}}
}

// OnEvent adds a listener that is called for each [Event], in the goroutine
// where it happens: it must be quick, and safe for several goroutines. A panic
// in it is recovered and logged.
func OnEvent(fn func(Event)) Option {
	return Option{"OnEvent", atClient, func(s *settings) error {
		if fn == nil {
			return invalid("listener", "the listener is nil")
		}
		s.listeners = append(s.listeners, fn)
		return nil
	}}
}

// OnEnqueue adds middleware round every enqueue of the client: the first added is the outermost.
func OnEnqueue(m EnqueueMiddleware) Option {
	return Option{"OnEnqueue", atClient, func(s *settings) error {
		if m == nil {
			return invalid("middleware", "the middleware is nil")
		}
		s.middleware = append(s.middleware, m)
		return nil
	}}
}

// asInvalid makes an [*InvalidError] of a plain error; nil stays nil.
func asInvalid(field string, err error) error {
	if err == nil {
		return nil
	}
	var inv *InvalidError
	if errors.As(err, &inv) {
		return err
	}
	return invalid(field, "%v", err)
}
