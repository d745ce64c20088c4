package bellhop_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

// Charge is what a charge job needs to know. The amount is in cents.
type Charge struct {
	OrderID string `json:"order_id"`
	Amount  int    `json:"amount"`
}

var errServiceDown = errors.New("the payment service is down")

// A definition is declared once, and shared by the code that enqueues and the
// code that works.
var ChargeOrder = bellhop.Define[Charge]("order.charge",
	bellhop.Queue("payments"),
	bellhop.Timeout(30*time.Second),
	bellhop.RetryOn(errServiceDown, bellhop.Exponential(time.Second, time.Hour), bellhop.Attempts(50)),
	bellhop.DiscardOn(sql.ErrNoRows), // the order was deleted meanwhile
)

// A whole life: define, enqueue, work.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := bellhop.Open(ctx, "memory:", bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	receipt, err := ChargeOrder.Enqueue(ctx, client, Charge{OrderID: "A-1", Amount: 4200})
	if err != nil {
		panic(err)
	}
	fmt.Println("enqueued as", receipt.State)

	w := worker.New(client, worker.Config{Queues: worker.Queues{"payments": 10}})
	w.Handle(ChargeOrder.With(func(ctx context.Context, c Charge) error {
		run := bellhop.FromContext(ctx)
		fmt.Printf("attempt %d charges %s with %d\n", run.Attempt(), c.OrderID, c.Amount)
		stop()
		return nil
	}))
	if err := w.Run(ctx); err != nil { // returns when it has drained
		panic(err)
	}
	done, err := client.Get(context.Background(), receipt.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println("now", done.Place.State)
	// Output:
	// enqueued as ready
	// attempt 1 charges A-1 with 4200
	// now succeeded
}

// Jobs of several kinds are enqueued together, all or none.
func ExampleEnqueue() {
	ctx := context.Background()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	receipts, err := bellhop.Enqueue(ctx, client,
		ChargeOrder.New(Charge{OrderID: "A-1", Amount: 4200}),
		ChargeOrder.New(Charge{OrderID: "A-2", Amount: 100}, bellhop.In(time.Hour)),
		bellhop.RawJob("chat.post", []byte(`{"text":"a new order"}`)), // a kind that another program works
	)
	if err != nil {
		panic(err)
	}
	for _, r := range receipts {
		fmt.Println(r.State)
	}
	// Output:
	// ready
	// scheduled
	// ready
}

// A mistake is refused before any store sees it, and says what to change.
func ExampleInvalidError() {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	_, err = ChargeOrder.Enqueue(context.Background(), client, Charge{OrderID: "A\x00"}, bellhop.Priority(3))
	fmt.Println(err)
	_, err = ChargeOrder.Enqueue(context.Background(), client, Charge{}, bellhop.Priority(100))
	fmt.Println(err)
	// Output:
	// bellhop: arguments: at .OrderID: NUL at index 1 is not allowed in a string: databases cannot store it
	// bellhop: priority: 100 is out of range: want -9 (first) to 9 (last)
}

// A repeat after a lost reply is the same job, if the caller chooses the id.
func ExampleWithID() {
	ctx := context.Background()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	id := bellhop.IDFromKey("checkout", "order A-1")
	for range 2 {
		r, err := ChargeOrder.Enqueue(ctx, client, Charge{OrderID: "A-1", Amount: 4200}, bellhop.WithID(id))
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Existing)
	}
	_, err = ChargeOrder.Enqueue(ctx, client, Charge{OrderID: "A-1", Amount: 9900}, bellhop.WithID(id))
	fmt.Println(errors.Is(err, bellhop.ErrIDTaken))
	// Output:
	// false
	// true
	// true
}

// Backoffs add a random part from the first retry on; 0 leaves it out here.
func ExampleBackoff_Wait() {
	for failures := 1; failures <= 4; failures++ {
		fmt.Println(bellhop.Polynomial.Wait(failures, 0), bellhop.Exponential(time.Second, 5*time.Second).Wait(failures, 0))
	}
	// Output:
	// 3s 1s
	// 18s 2s
	// 1m23s 4s
	// 4m18s 5s
}

type tenantKey struct{}

// What a request knows travels with its jobs as metadata, and the handler finds it there.
func ExampleOnEnqueue() {
	client, err := bellhop.NewClient(memory.New(), bellhop.OnEnqueue(
		func(ctx context.Context, jobs []*bellhop.Job, next bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
			tenant, ok := ctx.Value(tenantKey{}).(string)
			if !ok {
				return nil, errors.New("nobody may enqueue without a tenant")
			}
			for _, j := range jobs {
				if j.Meta == nil {
					j.Meta = map[string]string{}
				}
				j.Meta["tenant"] = tenant
			}
			return next(ctx, jobs)
		}))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	_, err = ChargeOrder.Enqueue(context.Background(), client, Charge{OrderID: "A-1", Amount: 4200})
	fmt.Println(err)

	ctx := context.WithValue(context.Background(), tenantKey{}, "acme")
	receipt, err := ChargeOrder.Enqueue(ctx, client, Charge{OrderID: "A-1", Amount: 4200})
	if err != nil {
		panic(err)
	}
	job, err := client.Get(ctx, receipt.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println(job.Meta["tenant"]) // in a handler: bellhop.FromContext(ctx).Job().Meta["tenant"]
	// Output:
	// nobody may enqueue without a tenant
	// acme
}

// A person, or another part of the program, stops a job and says why.
func ExampleClient_Act() {
	ctx := context.Background()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	receipt, err := ChargeOrder.Enqueue(ctx, client, Charge{OrderID: "A-1", Amount: 4200}, bellhop.In(time.Hour))
	if err != nil {
		panic(err)
	}
	for range 2 {
		reply, err := client.Act(ctx, bellhop.ActCancel, "the customer has called", receipt.ID)
		if err != nil {
			panic(err)
		}
		for _, skip := range reply.Skipped {
			fmt.Println("left alone: it is", skip.State)
		}
	}
	job, err := client.Get(ctx, receipt.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println(job.Place.State, "because", job.Place.Reason)
	// Output:
	// left alone: it is cancelled
	// cancelled because the customer has called
}
