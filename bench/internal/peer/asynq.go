package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	for _, servers := range []int{1, 4} {
		words := map[int]string{1: "one server", 4: "4 servers"}[servers]
		drop := Contender{
			Name: fmt.Sprintf("asynq-drop-%d", servers), Store: "redis", Title: "Asynq, " + words + ", finished jobs dropped",
			Family: "asynq", Module: "github.com/hibiken/asynq",
			Settings:    words + " of concurrency 50, TaskCheckInterval 200 ms (the shortest), no Retention; it has no bulk enqueue: single ones from 64 goroutines",
			BulkCallers: 64, BulkSize: 10, Open: openAsynq(servers, 50, 200*time.Millisecond, 0),
		}
		keep := drop
		keep.Name, keep.Title, keep.Keeps = fmt.Sprintf("asynq-%d", servers), "Asynq, "+words, true
		keep.Settings = words + " of concurrency 50, TaskCheckInterval 200 ms, Retention 24 h"
		keep.Open = openAsynq(servers, 50, 200*time.Millisecond, 24*time.Hour)
		keep.DrainOnly, drop.DrainOnly = servers < 4, servers < 4
		add(keep, drop)
	}
	add(Contender{
		Name: "asynq-default", Store: "redis", Title: "Asynq, defaults", Family: "asynq", Module: "github.com/hibiken/asynq", Default: true,
		Settings:    "one server, concurrency GOMAXPROCS, TaskCheckInterval 1 s, no Retention",
		BulkCallers: 64, BulkSize: 10, Open: openAsynq(1, 0, 0, 0),
	})
}

type asynqSession struct {
	client    *asynq.Client
	inspector *asynq.Inspector
	servers   []*asynq.Server
	options   []asynq.Option
}

func openAsynq(servers, concurrency int, check, retention time.Duration) func(context.Context, drill.Order) (Session, error) {
	return func(_ context.Context, o drill.Order) (Session, error) {
		at, err := asynq.ParseRedisURI(o.Address)
		if err != nil {
			return nil, err
		}
		s := &asynqSession{client: asynq.NewClient(at), inspector: asynq.NewInspector(at)}
		for range servers {
			s.servers = append(s.servers, asynq.NewServer(at, asynq.Config{Concurrency: concurrency, TaskCheckInterval: check, LogLevel: asynq.FatalLevel}))
		}
		if retention > 0 {
			s.options = append(s.options, asynq.Retention(retention))
		}
		return s, nil
	}
}

func (s *asynqSession) Enqueue(ctx context.Context, number int) error {
	_, err := s.client.EnqueueContext(ctx, asynq.NewTask("bench", encode(number)), s.options...)
	return err
}

func (s *asynqSession) EnqueueBulk(ctx context.Context, first, n int) error {
	for i := range n {
		if err := s.Enqueue(ctx, first+i); err != nil {
			return err
		}
	}
	return nil
}

func (s *asynqSession) Work(_ context.Context, run func(int)) (func() error, error) {
	mux := asynq.NewServeMux()
	mux.HandleFunc("bench", func(_ context.Context, t *asynq.Task) error { return decode(t.Payload(), run) })
	for _, server := range s.servers {
		if err := server.Start(mux); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, server := range s.servers {
			server.Stop() // it takes no more; waiting for its own end takes seconds, and the process ends anyway
		}
		return nil
	}, nil
}

func (s *asynqSession) Left(context.Context) (int, error) {
	info, err := s.inspector.GetQueueInfo("default")
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Pending + info.Active, nil
}

func (s *asynqSession) Check(context.Context) (waiting, kept int, err error) {
	info, err := s.inspector.GetQueueInfo("default")
	if err != nil {
		return 0, 0, err
	}
	return info.Pending + info.Active, info.Completed, nil
}

func (s *asynqSession) Close() error { return errors.Join(s.client.Close(), s.inspector.Close()) }
