package mailjob_test

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/mailjob"
	"github.com/gobellhop/bellhop/store/memory"
)

// Enqueue a mail; a worker that has the handler sends it.
func Example() {
	ctx := context.Background()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // a store in memory
	receipt, err := mailjob.Send.Enqueue(ctx, client, mailjob.Args{
		From:    "Shop <shop@example.com>",
		To:      []string{"Anna Lind <anna@example.org>"},
		Subject: "Your order",
		Text:    "Thank you. It leaves tomorrow.",
	})
	fmt.Println(receipt.State, err)

	_, err = mailjob.Send.Enqueue(ctx, client, mailjob.Args{From: "shop@example.com", To: []string{"anna"}, Text: "Thank you."})
	fmt.Println(err)
	// Output:
	// ready <nil>
	// bellhop: arguments: to: "anna" is not one address such as anna@example.org or Anna <anna@example.org>
}

// Make the handler for a worker. TLS is mandatory unless something else is said.
func ExampleNew() {
	handler, err := mailjob.New(mailjob.Config{Host: "mail.example.com", Username: "shop", Password: "from the environment"})
	fmt.Println(handler.Kind(), err)
	// Output: mail.send <nil>
}

// Give mails a queue of their own.
func ExampleDefine() {
	send := mailjob.Define(bellhop.Queue("mail"))
	handler, err := mailjob.New(mailjob.Config{Host: "mail.example.com", Definition: send})
	fmt.Println(handler.Kind(), err)
	// Output: mail.send <nil>
}
