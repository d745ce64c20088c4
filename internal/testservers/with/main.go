// Command with runs a command while servers for tests are there:
//
//	go run ./internal/testservers/with -- go test ./...
//
// It starts those that BELLHOP_TEST_STORES selects (all, if it is empty), names them in the command's environment, and stops them when
// the command ends, however that comes about. Interrupt and termination are passed on; the exit code is the command's. Servers that
// the environment names already are used as they are. A job never passes through here; its store's server is started from here.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/gobellhop/bellhop/internal/testservers"
)

func main() {
	missing := flag.Bool("missing", false, "only list the Debian packages that are missing, on one line")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: with [-missing] -- command argument...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *missing {
		fmt.Println(strings.Join(testservers.Missing(), " "))
		return
	}
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := with(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// with runs the command and returns its exit code.
func with(command []string) (code int, err error) {
	// From here on a signal ends the command, not us: the servers are still to be stopped.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	var pool testservers.Pool
	defer func() { err = errors.Join(err, pool.Close()) }()
	env, err := start(&pool)
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	select {
	case <-signals:
		return 130, errors.New("with: interrupted before the command began")
	default:
	}
	if err := cmd.Start(); err != nil {
		return 127, fmt.Errorf("with: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may have ended
		case err := <-done:
			return exitCode(err)
		}
	}
}

// start starts the selected servers, all at once, and returns what to add to the environment.
func start(pool *testservers.Pool) (env []string, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for name, variable := range testservers.Variables() {
		store, _, _ := strings.Cut(name, "-") // a cluster belongs to its store
		if os.Getenv(variable) != "" || !testservers.Selected(store) {
			continue
		}
		wg.Go(func() {
			address, startErr := pool.Start(name)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, startErr)
			env = append(env, variable+"="+address)
		})
	}
	wg.Wait()
	slices.Sort(env)
	return env, err
}

// exitCode is that of a command that ended with err; one that a signal has ended has 128 and its number, as in a shell.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 1, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
