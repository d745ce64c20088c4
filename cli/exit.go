package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// Exit codes. They are part of what scripts rely on and do not change.
const (
	exitOK          = 0
	exitFailed      = 1   // something went wrong that no other code names; doctor found a problem
	exitUsage       = 2   // an unknown command or flag, or a value that cannot be read
	exitNotFound    = 3   // a named job does not exist
	exitRefused     = 4   // the input breaks a rule, a job's state does not allow it, or nobody confirmed
	exitUnavailable = 5   // the store cannot be opened or reached, or has a schema of another release
	exitNotDone     = 6   // a job that was waited for ended, but did not succeed
	exitTimeout     = 7   // a job that was waited for has not ended in time
	exitInterrupted = 130 // stopped by a signal
)

// exitTable is the table of exit codes for people.
const exitTable = `Exit codes:
    0  done
    1  failed; doctor found a problem
    2  wrong usage
    3  no such job
    4  refused: invalid input, a state that does not allow it, or nobody confirmed
    5  the store is unavailable, or of another release
    6  a job that was waited for did not succeed
    7  a job that was waited for did not end in time
  130  stopped by a signal`

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitWith makes an error that ends the program with code.
func exitWith(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error   { return exitWith(exitUsage, format, args...) }
func refused(format string, args ...any) error { return exitWith(exitRefused, format, args...) }

// quiet ends the program with a code when everything has been said already.
func quiet(code int) error { return &exitError{code, errSaid} }

var (
	errSaid        = errors.New("said already")
	errInterrupted = errors.New("interrupted")
)

// codeOf returns the exit code of an error.
func codeOf(ctx context.Context, err error) int {
	var own *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, bellhop.ErrNotFound):
		return exitNotFound
	case errors.Is(err, bellhop.ErrUnavailable), errors.Is(err, bellhop.ErrUnknown), errors.Is(err, bellhop.ErrProcessGone),
		errors.Is(err, bellhop.ErrSchemaNewer), errors.Is(err, bellhop.ErrSchemaOlder):
		return exitUnavailable
	case errors.Is(err, bellhop.ErrInvalid), errors.Is(err, bellhop.ErrIDTaken), errors.Is(err, bellhop.ErrUnsupported),
		errors.Is(err, bellhop.ErrConflict):
		return exitRefused
	case interrupted(ctx, err):
		return exitInterrupted
	}
	return exitFailed
}

// interrupted reports whether an error is no more than the end of ctx.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted))
}
