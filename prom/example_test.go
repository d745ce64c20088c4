package prom_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/gobellhop/bellhop/prom"
	_ "github.com/gobellhop/bellhop/store/memory"
)

// A program opens its store through the metrics and serves them beside its own pages.
func Example() {
	metrics := prom.New(prom.Options{})
	client, err := metrics.Open(context.Background(), "memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(slog.Default()))

	reply := httptest.NewRecorder()
	mux.ServeHTTP(reply, httptest.NewRequest("GET", "/metrics", nil))
	fmt.Println(reply.Code)
	// Output: 200
}
