// Command hello is the shortest program: it enqueues one job in a file beside
// it, works it, and waits for more until it is stopped.
package main
