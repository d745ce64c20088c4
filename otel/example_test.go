package otel_test

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/otel"
	_ "github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

// The global providers take the spans and metrics of the client and of the worker's attempts.
func Example() {
	tracing, err := otel.New(otel.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := bellhop.Open(context.Background(), "memory:", tracing.Client()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 10}, Middleware: []worker.Middleware{tracing.Attempt}})
	fmt.Println(w.Ready())
	// Output: the worker has not begun
}
