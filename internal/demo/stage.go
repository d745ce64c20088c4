package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/jobs/httpjob"
	"github.com/gobellhop/bellhop/jobs/mailjob"
	"github.com/gobellhop/bellhop/web"
	"github.com/gobellhop/bellhop/worker"
)

// stage is everything that a demo runs in this process, on loopback: the outside world, the shop in all its forms, the jobs'
// store, a worker and the API server.
type stage struct {
	world  *World
	began  time.Time
	client *bellhop.Client
	orders Store
	worker *worker.Worker

	site    string // the address of the shops and the panel, without a slash at its end
	api     string // the address of the API server
	address string // of the store

	closers []func() error // in the order of what they close was opened
	failed  chan error     // holds what ended the worker or a server before its time
}

// openStage starts everything. The caller closes the stage; when openStage fails, it has done so itself.
func openStage(ctx context.Context, opts Options, log *slog.Logger) (s *stage, err error) {
	s = &stage{failed: make(chan error, 8)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s = nil
		}
	}()
	if s.world, err = StartWorld(WorldConfig{Scale: opts.Scale}); err != nil {
		return s, err
	}
	s.onClose(func() error { s.world.Close(); return nil })
	if err = s.openStore(ctx, opts.Store, log); err != nil {
		return s, err
	}
	shops, err := s.openShops()
	if err != nil {
		return s, err
	}
	builtIn, err := builtInJobs(s.world)
	if err != nil {
		return s, err
	}
	s.startWorker(append(handlers(shops["charge"]), builtIn...))
	if err = s.openSite(ctx, shops); err != nil {
		return s, err
	}
	if err = s.openAPI(ctx, opts.Listen); err != nil {
		return s, err
	}
	return s, s.settleEarlier(ctx)
}

// onClose remembers how to close what was just opened.
func (s *stage) onClose(fn func() error) { s.closers = append(s.closers, fn) }

// close closes everything, the last opened first.
func (s *stage) close() error {
	var errs []error
	for _, fn := range slices.Backward(s.closers) {
		errs = append(errs, fn())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// openShops makes a shop of each form. They share orders and effects, and have eight web workers each.
func (s *stage) openShops() (map[string]*Shop, error) {
	effects := NewDirect(s.world)
	effects.Key = paymentKey
	s.onClose(effects.Close)
	shops := make(map[string]*Shop)
	for _, form := range Forms() {
		shop, err := NewShop(ShopConfig{Form: form, Store: s.orders, Effects: effects})
		if err != nil {
			return nil, err
		}
		shops[form.Name] = shop
	}
	return shops, nil
}

// builtInJobs returns the handlers of Bellhop's own kinds, which reach the outside world on this machine.
func builtInJobs(w *World) ([]bellhop.Handler, error) {
	calls, err := httpjob.New(httpjob.Config{AllowPrivateAddresses: true})
	if err != nil {
		return nil, err
	}
	server, err := netip.ParseAddrPort(w.Mail.Addr())
	if err != nil {
		return nil, err
	}
	mails, err := mailjob.New(mailjob.Config{Host: server.Addr().String(), Port: int(server.Port())})
	if err != nil {
		return nil, err
	}
	return []bellhop.Handler{calls, mails}, nil
}

// startWorker starts the worker. At the end of the demo nobody needs what still runs, so it ends at once: in a store that stays,
// its jobs are ready again.
func (s *stage) startWorker(all []bellhop.Handler) {
	s.worker = worker.New(s.client, worker.Config{
		Queues: queues, Name: "demo", Shutdown: 5 * time.Second,
		Poll: 100 * time.Millisecond, // nobody can be told of a job that comes with the shop's own commit: it is found by looking
	})
	s.worker.Handle(all...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.worker.Run(ctx); err != nil {
			s.fail(err)
		}
	})
	s.onClose(func() error {
		s.worker.Hurry()
		cancel()
		running.Wait()
		return nil
	})
}

// fail notes why the demo cannot go on. Only the first reason matters.
func (s *stage) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// openSite serves the shops and the panel, each under a path of its own.
func (s *stage) openSite(ctx context.Context, shops map[string]*Shop) (err error) {
	mux := http.NewServeMux()
	for name, shop := range shops {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, shop))
	}
	mux.Handle("/world/", http.StripPrefix("/world", s.world.Panel()))
	mux.Handle("GET /{$}", http.RedirectHandler("charge/", http.StatusFound))
	s.site, err = s.serve(ctx, "127.0.0.1:0", mux, func() {})
	return err
}

// openAPI serves Bellhop's API and its dashboard. They have no token, so they listen on this machine only.
func (s *stage) openAPI(ctx context.Context, listen string) error {
	if err := loopback(listen); err != nil {
		return err
	}
	definitions := []bellhop.Kinded{httpjob.Request, mailjob.Send}
	for _, effect := range AllEffects() {
		job, err := jobOf(effect)
		if err != nil {
			return err
		}
		definitions = append(definitions, job)
	}
	handler, err := api.New(s.client, api.Options{
		Definitions: definitions, Authorize: access.Everyone(access.Admin),
		Ready: func(context.Context) error { return s.worker.Ready() },
	})
	if err != nil {
		return err
	}
	dashboard, err := web.New(s.client, web.Options{Authorize: access.Everyone(access.Admin), Title: "the shop"})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", dashboard)
	for _, path := range []string{"/v1/", "/livez", "/readyz"} {
		mux.Handle(path, handler)
	}
	s.api, err = s.serve(ctx, listen, mux, func() { handler.Drain(); dashboard.Drain() })
	return err
}

// serve starts an HTTP server and returns its URL. drain is called just before it is closed.
func (s *stage) serve(ctx context.Context, listen string, handler http.Handler, drain func()) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return "", fmt.Errorf("demo: cannot listen on %s: %w", listen, err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	var running sync.WaitGroup
	running.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail(err)
		}
	})
	s.onClose(func() error {
		drain()
		err := srv.Close()
		running.Wait()
		return err
	})
	return "http://" + l.Addr().String(), nil
}

// loopback refuses an address that other machines could reach.
func loopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("demo: cannot listen on %q: want an address such as 127.0.0.1:8080", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("demo: will not listen on %q: the demo has no password, so only this machine may reach it; use 127.0.0.1", listen)
	}
	return nil
}

// live selects the jobs of the shop that have not ended.
var live = bellhop.States(bellhop.StateScheduled, bellhop.StateBlocked, bellhop.StateReady, bellhop.StateRunning)

// settleEarlier works off what an earlier demo left in the same store, and then lets the outside world forget it.
func (s *stage) settleEarlier(ctx context.Context) error {
	defer func() { s.began = time.Now() }()
	left, err := s.client.Count(ctx, bellhop.Filter{Kinds: kinds(), States: live}, 1)
	if err != nil || left == 0 {
		return err
	}
	if err := s.idle(ctx); err != nil {
		return err
	}
	s.world.Reset()
	return nil
}

// idle waits until no job of the shop is left to do.
func (s *stage) idle(ctx context.Context) error {
	for {
		n, err := s.client.Count(ctx, bellhop.Filter{Kinds: kinds(), States: live}, 1)
		if err != nil || n == 0 {
			return err
		}
		if !wait(ctx, 50*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}
