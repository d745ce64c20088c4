package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/bench/internal/drill"
	_ "github.com/gobellhop/bellhop/store/all" // every store, by its address
	"github.com/gobellhop/bellhop/worker"
)

// bellhopKind is the kind of all jobs that are worked.
const bellhopKind = "bench"

// bellhopSlots is how many jobs run at once. It is what guides begin with, and nothing was gained by other numbers, on any store and over
// any distance; so our best settings are our defaults.
const bellhopSlots = 100

func init() {
	for _, store := range []string{"sqlite", "postgres", "mysql", "redis", "memory"} {
		ours := Contender{
			Name: "bellhop", Store: store, Title: "Bellhop", Family: "bellhop", Module: "github.com/gobellhop/bellhop", Keeps: true,
			Settings:    fmt.Sprintf("%d slots, all else at defaults, which are also the best; bulk: 1000 in a call from 4 goroutines", bellhopSlots),
			BulkCallers: 4, BulkSize: 1000,
			Open: openBellhop(false),
		}
		if store == "redis" {
			ours.Settings += "; keep_finished=10000000: its default keeps the last 100,000 only, as Redis is memory"
		}
		drop := ours
		drop.Name, drop.Title, drop.Keeps = "bellhop-drop", "Bellhop, finished jobs dropped", false
		drop.Settings = "as the other; Retention(1s), pruned every second"
		drop.Open = openBellhop(true)
		add(ours, drop)
	}
}

type bellhopSession struct {
	client *bellhop.Client
	kind   *bellhop.Definition[Args]
	drop   bool
}

func openBellhop(drop bool) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		client, err := bellhop.Open(ctx, migrating(o.Address), bellhop.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		if err != nil {
			return nil, err
		}
		var opts []bellhop.Option
		if drop {
			opts = append(opts, bellhop.Retention(time.Second))
		}
		return &bellhopSession{client: client, kind: bellhop.Define[Args](bellhopKind, opts...), drop: drop}, nil
	}
}

// migrating lets a server's schema be made when it is opened; SQLite's is anyway, and Redis has none. There all finished jobs are to be
// kept, as in the other stores, and not the last 100,000 only.
func migrating(address string) string {
	if strings.HasPrefix(address, "redis:") {
		return address + "?keep_finished=10000000"
	}
	if !strings.HasPrefix(address, "postgres:") && !strings.HasPrefix(address, "mysql:") {
		return address
	}
	if strings.Contains(address, "?") {
		return address + "&migrate=auto"
	}
	return address + "?migrate=auto"
}

func (s *bellhopSession) Enqueue(ctx context.Context, number int) error {
	_, err := s.kind.Enqueue(ctx, s.client, argsOf(number))
	return err
}

func (s *bellhopSession) EnqueueBulk(ctx context.Context, first, n int) error {
	args := make([]Args, n)
	for i := range args {
		args[i] = argsOf(first + i)
	}
	_, err := s.kind.EnqueueMany(ctx, s.client, args)
	return err
}

// EnqueueMarked puts jobs that are not to be worked.
func (s *bellhopSession) EnqueueMarked(ctx context.Context, mark string, first, n int) error {
	drafts := make([]bellhop.Draft, n)
	for i := range drafts {
		switch args := argsOf(first + i); mark {
		case drill.Paused:
			drafts[i] = s.kind.New(args, bellhop.Queue(drill.Paused))
		case drill.Future:
			drafts[i] = s.kind.New(args, bellhop.In(time.Hour))
		case drill.Unknown:
			drafts[i] = bellhop.RawJob(drill.Unknown, fmt.Appendf(nil, `{"n":%d,"text":%q}`, args.N, args.Text))
		}
	}
	if _, err := bellhop.Enqueue(ctx, s.client, drafts...); err != nil {
		return err
	}
	if mark == drill.Paused {
		return s.client.Pause(ctx, drill.Paused)
	}
	return nil
}

func (s *bellhopSession) Work(ctx context.Context, run func(int)) (func() error, error) {
	cfg := worker.Config{Queues: worker.Queues{bellhop.DefaultQueue: bellhopSlots, drill.Paused: bellhopSlots}}
	if s.drop {
		cfg.Prune = time.Second
	}
	w := worker.New(s.client, cfg)
	w.Handle(s.kind.With(func(_ context.Context, a Args) error { run(a.N - Base); return nil }))
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() error { cancel(); return <-ended }, nil
}

func (s *bellhopSession) Left(ctx context.Context) (int, error) {
	return s.client.Count(ctx, bellhop.Filter{States: bellhop.States(bellhop.StateRunning)}, 1)
}

func (s *bellhopSession) Check(ctx context.Context) (waiting, kept int, err error) {
	const most = 1 << 23
	waiting, err = s.client.Count(ctx, bellhop.Filter{
		Kinds: []string{bellhopKind}, Queues: []string{bellhop.DefaultQueue},
		States: bellhop.States(bellhop.StateReady, bellhop.StateRunning),
	}, most)
	if err == nil {
		kept, err = s.client.Count(ctx, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, most)
	}
	return waiting, kept, err
}

func (s *bellhopSession) Close() error { return s.client.Close() }
