package main

import (
	"context"
	"log"

	"github.com/gobellhop/bellhop"
	_ "github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/worker"
)

var Greet = bellhop.Define[string]("greet")

func main() {
	client, err := bellhop.Open(context.Background(), "sqlite:hello.db")
	if err == nil {
		_, err = Greet.Enqueue(context.Background(), client, "Ada")
	}
	if err != nil {
		log.Fatal(err)
	}
	w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 10}})
	w.Handle(Greet.With(func(_ context.Context, name string) error { return log.Output(1, "Hello, "+name) }))
	log.Fatal(w.Run(context.Background()))
}
