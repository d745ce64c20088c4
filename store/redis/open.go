package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
)

func init() {
	for _, scheme := range schemes {
		bellhop.Register(scheme, func(ctx context.Context, address string) (bellhop.Store, error) { return Open(ctx, address) })
	}
}

// Option sets up a [Store].
type Option func(*settings)

// WithNamespace keeps the jobs apart from those of other namespaces on the same
// server. The default is "default". It does what the parameter namespace of an
// address does; so do the other options.
func WithNamespace(name string) Option { return func(s *settings) { s.namespace = name } }

// WithKeepFinished bounds how many finished jobs are kept that would expire by
// themselves; of more, those that expire first are deleted. The default is 100,000.
func WithKeepFinished(n int) Option { return func(s *settings) { s.keepFinished = n } }

// WithTimeout is how long a call waits for the server's answer: 10 s by default.
func WithTimeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// WithEviction accepts a server whose maxmemory-policy lets it delete any key,
// and with it jobs, when its memory is full.
func WithEviction() Option { return func(s *settings) { s.evicting = true } }

// Open opens the store at an address:
//
//	redis://user:password@host:6379/0           one server; rediss:// with TLS
//	redis+sentinel://host1,host2/0?master=main  the master that Sentinels name
//	redis+cluster://host1,host2                 a cluster; a namespace lives on one of its nodes
//
// Parameters of the address:
//
//	namespace=default        keeps the jobs apart from others on the same server
//	keep_finished=100000     how many finished jobs are kept at most; see [WithKeepFinished]
//	timeout=10s              how long a call waits for an answer
//	pool=20                  connections; 10 for each CPU by default
//	eviction=refuse          whether a server is refused that may evict jobs (also allow)
//	tls=off                  TLS for Sentinels and clusters (also on)
//	master=NAME, sentinel_user=NAME, sentinel_password=SECRET
//	migrate=auto             accepted as in other stores (also off, only): the one layout that there is needs no migration
func Open(ctx context.Context, address string, opts ...Option) (*Store, error) {
	set, err := parse(address)
	if err != nil {
		return nil, err
	}
	if err := set.apply(opts); err != nil {
		return nil, err
	}
	client := set.connect()
	s, err := begin(ctx, &Store{client: client, settings: set})
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return s, nil
}

// New makes a store on a client that the caller has set up and closes after the
// store. The client should have ContextTimeoutEnabled, so that calls end at their
// deadline. It does not repeat scripts on its own, however many retries it is set up with.
func New(ctx context.Context, client redis.UniversalClient, opts ...Option) (s *Store, err error) {
	set := defaults()
	_, ring := client.(*redis.Ring)
	switch err = set.apply(opts); {
	case err != nil:
	case client == nil:
		err = errors.New("the client is nil")
	case ring:
		err = errors.New("a Ring is not supported: use one server, Sentinel or a cluster")
	default:
		s, err = begin(ctx, &Store{client: client, theirs: true, settings: set})
	}
	if err != nil {
		return nil, fmt.Errorf("bellhop: open Redis store: %w", err)
	}
	return s, nil
}

func (s *settings) apply(opts []Option) error {
	for _, opt := range opts {
		opt(s)
	}
	if err := checkNamespace(s.namespace); err != nil {
		return err
	}
	if s.keepFinished < 0 {
		return fmt.Errorf("WithKeepFinished(%d): want at least 0", s.keepFinished)
	}
	if err := checkTimeout(s.timeout, nil); err != nil {
		return fmt.Errorf("WithTimeout(%v): %w", s.timeout, err)
	}
	return nil
}

// begin looks whether the server can keep jobs, and begins the layout in an
// empty namespace. Two that do so at once find the same.
func begin(ctx context.Context, s *Store) (_ *Store, err error) {
	s.keys = newKeys(s.settings.namespace)
	s.wakes.store = s
	ctx, cancel := context.WithTimeout(ctx, s.settings.timeout)
	defer cancel()
	if s.server, err = s.examine(ctx); err != nil {
		return nil, s.opening(err)
	}
	if err := s.server.fit(s.settings.evicting); err != nil {
		return nil, err
	}
	key := s.keys.base + "layout"
	var have *redis.StringCmd
	if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.SetNX(ctx, key, layoutVersion, 0)
		have = p.Get(ctx, key)
		return nil
	}); err != nil {
		return nil, s.opening(err)
	}
	return s, checkLayout(have.Val())
}

// opening explains an error of the first commands.
func (s *Store) opening(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return s.explain(err)
}

// errGone says that a namespace is not there any more, with all that was in it.
var errGone = fmt.Errorf("%w: the namespace is gone: its keys were deleted, or the server has lost its data; it begins anew, empty", bellhop.ErrUnavailable)

// checkLayout compares the version that is kept in the namespace with the one
// of this program.
func checkLayout(text string) error {
	have, err := strconv.Atoi(text)
	switch {
	case text == "":
		return errGone
	case err != nil:
		return fmt.Errorf("the key layout of the namespace holds %.32q, which is not a version: another program uses the namespace", text)
	case have > layoutVersion:
		return fmt.Errorf("%w: the namespace has layout %d, this program knows %d: use a newer release", bellhop.ErrSchemaNewer, have, layoutVersion)
	case have < layoutVersion:
		return fmt.Errorf("%w: the namespace has layout %d, this program needs %d: work its jobs off with the release that wrote them, or take another namespace", bellhop.ErrSchemaOlder, have, layoutVersion)
	}
	return nil
}
