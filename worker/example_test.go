package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

// Resize is what a thumbnail's job needs to know.
type Resize struct {
	Image string `json:"image"`
}

var ResizeImage = bellhop.Define[Resize]("image.resize", bellhop.Queue("images"))

func resize(context.Context, Resize) error { return nil }

// A worker's program works until it is told to stop. Its running jobs then have the grace to finish; a second signal ends that.
func Example() {
	client, err := bellhop.NewClient(memory.New()) // or bellhop.Open
	if err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
	defer client.Close() // when Run has returned

	w := worker.New(client, worker.Config{Queues: worker.Queues{"images": 4, "default": 50}})
	w.Handle(ResizeImage.With(resize))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		time.Sleep(time.Second) // one signal may come twice, from the terminal and from what passes it on
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		<-again
		w.Hurry()
	})
	if err := w.Run(ctx); err != nil {
		slog.Error(err.Error())
	}
}

// Middleware goes round every attempt: it may change the context, look at what came of it, and end it in another way.
func ExampleMiddleware() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	w := worker.New(client, worker.Config{
		Queues: worker.Queues{"images": 1},
		Middleware: []worker.Middleware{func(ctx context.Context, run *bellhop.Run, next func(context.Context) error) error {
			err := next(ctx)
			fmt.Printf("attempt %d of %s: %v\n", run.Attempt(), run.Job().Kind, err)
			if errors.Is(err, os.ErrNotExist) {
				return bellhop.Discard(err)
			}
			return err
		}},
	})
	w.Handle(ResizeImage.With(func(_ context.Context, r Resize) error {
		defer stop()
		return fmt.Errorf("%s: %w", r.Image, os.ErrNotExist)
	}))
	receipt, err := ResizeImage.Enqueue(ctx, client, Resize{Image: "cat.png"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Run(ctx); err != nil {
		fmt.Println(err)
	}
	job, err := client.Get(context.Background(), receipt.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Place.State)
	// Output:
	// attempt 1 of image.resize: cat.png: file does not exist
	// discarded
}
