package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	_ "github.com/gobellhop/bellhop/store/all" // every store can be named by --store
)

// app is what commands share: the streams, the environment and the flags that hold for all of them.
type app struct {
	env    func(string) string
	in     stream
	out    stream
	err    stream
	now    func() time.Time // the machine's clock
	host   string           // the machine's name, if it has one
	json   bool
	store  string            // the address
	origin map[string]string // by flag: the environment variable that its value came from
	hidden []string          // secrets that no message may show
}

// use says what a command does with a store, as far as it matters for opening it.
type use uint8

const (
	useAlone  use = iota + 1 // the command is all there is: any store will do
	useShared                // other processes must see what the command does
)

// opener is [bellhop.Open], or what stands in its place.
type opener func(ctx context.Context, address string, opts ...bellhop.Option) (*bellhop.Client, error)

// open opens the store that the flags name.
func (a *app) open(ctx context.Context, u use, opts ...bellhop.Option) (*bellhop.Client, error) {
	return a.openBy(ctx, bellhop.Open, u, opts...)
}

// openBy opens the store that the flags name in a way of the caller's.
func (a *app) openBy(ctx context.Context, open opener, u use, opts ...bellhop.Option) (*bellhop.Client, error) {
	client, err := open(ctx, a.store, opts...)
	if err != nil {
		return nil, a.openError(err)
	}
	if u == useShared && !client.Store().Capabilities().Shared {
		_ = client.Close()
		return nil, refused("the store %q lives in one process only, so nothing would be left of this when the command ends; "+
			"name another store with --store or BELLHOP_STORE, or speak to the server that has it over HTTP", bellhop.MaskAddress(a.store))
	}
	return client, nil
}

// source names what the value of a flag came from: the flag, or an environment variable.
func (a *app) source(flag string) string {
	if from := a.origin[flag]; from != "" {
		return from
	}
	return "--" + flag
}

// openError says where a wrong address came from.
func (a *app) openError(err error) error {
	var bad *bellhop.InvalidError
	if errors.As(err, &bad) && bad.Field == "max arguments" { // of the client's settings the only one that has a flag
		return refused("%s: %s", a.source("max-arguments"), bad.Reason)
	}
	if from := a.origin["store"]; from != "" {
		err = fmt.Errorf("%w (the address is from %s)", err, from)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &exitError{exitUnavailable, err}
}

// hide keeps a secret out of all messages.
func (a *app) hide(secret string) {
	if len(secret) >= 3 && !slices.Contains(a.hidden, secret) {
		a.hidden = append(a.hidden, secret)
	}
}

// hideAddress keeps the password of an address out of all messages.
func (a *app) hideAddress(address string) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return
	}
	if password, has := u.User.Password(); has {
		a.hide(password)
		a.hide(url.QueryEscape(password))
		a.hide(url.PathEscape(password))
	}
}

func (a *app) mask(text string) string {
	for _, secret := range a.hidden {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return maskAddresses(text)
}

// complain prints an error as one line.
func (a *app) complain(err error) {
	if errors.Is(err, errSaid) {
		return
	}
	text := "bellhop: " + a.message(err)
	if name := bellhop.ErrorName(err); explainable[name] {
		text += "; bellhop explain " + name + " tells more"
	}
	fmt.Fprintln(a.err, text)
}

// explainable are the errors whose message leaves people with a question that the catalogue answers. Others say all in one line.
var explainable = map[string]bool{
	"unavailable": true, "unknown": true, "locked": true, "spans": true, "conflict": true, "unsupported": true,
}

// storeCall is how errors of a store begin: which one, and which of its verbs. The command line says more of either.
var storeCall = regexp.MustCompile(`\b[a-z]+ store: [a-z-]+: `)

// message is an error's text: one line, without secrets, without the library's name, which complain puts before it, and without
// the inner names of stores and verbs.
func (a *app) message(err error) string {
	text := storeCall.ReplaceAllString(oneLine(err.Error()), "")
	return a.mask(strings.ReplaceAll(strings.TrimPrefix(text, "bellhop: "), ": bellhop: ", ": "))
}

// print writes a line of the result.
func (a *app) print(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// note writes a line beside the result: what is going on, what is worth knowing.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.err, a.mask(oneLine(fmt.Sprintf(format, args...))))
}

// printJSON writes a value as JSON: indented for a terminal, one line for programs.
func (a *app) printJSON(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.printRaw(body)
}

// printRaw writes a JSON text.
func (a *app) printRaw(body []byte) error {
	body = bytes.TrimSpace(body)
	if a.out.tty {
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "  "); err == nil {
			body = indented.Bytes()
		}
	}
	_, err := a.out.Write(append(bytes.Clone(body), '\n'))
	return err
}

// who names the person at the keyboard, for the reasons that are kept with jobs.
func (a *app) who() string {
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if user := a.env(name); user != "" {
			return bellhop.CleanText(user, 64)
		}
	}
	return "the command line"
}

// readAll reads at most limit bytes, and ends when ctx does.
func readAll(ctx context.Context, r io.Reader, limit int) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
		done <- result{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case got := <-done:
		if got.err == nil && len(got.data) > limit {
			return nil, refused("the input has more than %d bytes: split it, or store the data and pass its id", limit)
		}
		return got.data, got.err
	}
}

// readInput reads "-" from the standard input, else a file.
func (a *app) readInput(ctx context.Context, name string, limit int) ([]byte, error) {
	if name == "-" {
		data, err := readAll(ctx, a.in, limit)
		if err != nil {
			return nil, fmt.Errorf("read the standard input: %w", err)
		}
		return data, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, refused("read the input: %w", err)
	}
	defer f.Close()
	data, err := readAll(ctx, f, limit)
	var path *os.PathError
	if errors.As(err, &path) {
		return nil, refused("read the input: %w", err) // it names the file
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// readSecret reads a file that holds one secret.
func readSecret(what, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", refused("read %s: %w", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10+1))
	if err != nil {
		return "", refused("read %s: %w", what, err)
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" || len(secret) > 64<<10 {
		return "", refused("read %s: the file %s is empty or has more than 64 KiB", what, name)
	}
	return secret, nil
}

// openNow opens the store that the flags name, for a look at what other processes do too, and returns what its clock shows.
func (a *app) openNow(ctx context.Context) (*bellhop.Client, time.Time, error) {
	client, err := a.open(ctx, useShared)
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := storeNow(ctx, client)
	if err != nil {
		_ = client.Close()
		return nil, time.Time{}, err
	}
	return client, now, nil
}

// storeNow returns the store's clock, by which relative times are told.
func storeNow(ctx context.Context, c *bellhop.Client) (time.Time, error) {
	now, err := c.Store().Ping(ctx)
	if err != nil {
		return now, fmt.Errorf("ask the store for the time: %w", err)
	}
	return now, nil
}
