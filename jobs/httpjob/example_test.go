package httpjob_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/httpjob"
	"github.com/gobellhop/bellhop/store/memory"
)

// Enqueue a webhook; a worker that has the handler delivers it.
func Example() {
	ctx := context.Background()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // a store in memory
	receipt, err := httpjob.Request.Enqueue(ctx, client, httpjob.Args{
		URL:     "https://example.com/hooks/orders",
		Body:    `{"type":"order.paid","id":7}`,
		Signing: "orders",
	}, bellhop.In(time.Minute))
	fmt.Println(receipt.State, err)

	_, err = httpjob.Request.Enqueue(ctx, client, httpjob.Args{URL: "example.com/hooks/orders"})
	fmt.Println(err)
	// Output:
	// scheduled <nil>
	// bellhop: arguments: url: the scheme is "": want an absolute URL that begins with https:// or http://
}

// Make the handler for a worker, with a secret to sign with.
func ExampleNew() {
	handler, err := httpjob.New(httpjob.Config{
		Secrets: map[string]string{"orders": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	})
	fmt.Println(handler.Kind(), err)
	// Output: http.request <nil>
}

// Give calls a queue of their own and fewer attempts.
func ExampleDefine() {
	request := httpjob.Define(bellhop.Queue("hooks"), bellhop.Attempts(8))
	handler, err := httpjob.New(httpjob.Config{Definition: request})
	fmt.Println(handler.Kind(), err)
	// Output: http.request <nil>
}
