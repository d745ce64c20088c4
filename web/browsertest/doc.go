// Package browsertest looks at the dashboard in a browser, as the people do who use it. It has tests only.
//
// shop_test.go makes the world that they look at: a shop's day, of which the jobs, the failures and the numbers are all in a store in
// memory, and workers that go on. Jobs pass through there as through any store; what makes them is not a worker but the test, which
// turns the store's clock back and lets the day pass within a second. The pictures of docs/dashboard.md are made of the same world:
//
//	go test ./web/browsertest -run Tour -update
package browsertest
