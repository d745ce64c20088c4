package postgres

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// codeOf returns the code of an error that the server has sent; empty if it has sent none.
func codeOf(err error) string {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Codes that call for something particular.
const (
	codeUnique   = "23505"
	codeReadOnly = "25006"
	codeLock     = "55P03"
	codeProtocol = "08P01"
)

// troubles are the kinds of trouble behind the server's codes, and what to do.
var troubles = map[string]struct {
	sqlstore.Trouble
	advice string
}{
	"40001":      {sqlstore.Conflict, ""}, // serialisation failure
	"40P01":      {sqlstore.Conflict, ""}, // deadlock
	codeLock:     {sqlstore.Locked, "another transaction holds a lock: end it (`bellhop doctor` names it)"},
	codeReadOnly: {sqlstore.Unavailable, "the server takes no writes: name the primary, or end its read-only mode"},
	"28P01":      {sqlstore.Unavailable, "the password is wrong: correct it in the address"},
	"28000":      {sqlstore.Unavailable, "the server does not let this user in: correct the address, or pg_hba.conf"},
	"3D000":      {sqlstore.Unavailable, "there is no such database: create it, or correct the address"},
	"3F000":      {sqlstore.NoTable, "there is no such schema: run `bellhop migrate up`, or correct schema= in the address"},
	"42P01":      {sqlstore.NoTable, "the schema of Bellhop is not there: run `bellhop migrate up`"},
	"42501":      {sqlstore.Unknown, "the role lacks a right: give it the grants that docs/postgres.md lists"},
	"53300":      {sqlstore.Unavailable, "the server has no connection left: raise max_connections, or lower pool_max_conns"},
	"53100":      {sqlstore.Unavailable, "the server's disk is full: free some space"},
	"57014":      {sqlstore.Unavailable, "the server has cancelled the statement: look at statement_timeout"},
	"57P01":      {sqlstore.Unavailable, "the server has ended the connection"},
	"57P02":      {sqlstore.Unavailable, "the server has crashed and restarts"},
	"57P03":      {sqlstore.Unavailable, "the server starts or stops"},
	"57P05":      {sqlstore.Unavailable, "the server has ended an idle connection"},
	"25P03":      {sqlstore.Unavailable, "the server has ended a transaction that was idle for too long"},
}

// explained is an error that says what to do.
type explained struct {
	trouble sqlstore.Trouble
	advice  string
	err     error
}

// Error returns one line.
func (e *explained) Error() string {
	return e.advice + ": " + strings.NewReplacer("\n\t", " ", "\n", " ").Replace(e.err.Error())
}

func (e *explained) Unwrap() error { return e.err }

// Explain says what is wrong, and what to do.
func (dialect) Explain(err error) (sqlstore.Trouble, error) {
	if err == nil {
		return sqlstore.Unknown, nil
	}
	if e := (*explained)(nil); errors.As(err, &e) {
		return e.trouble, err
	}
	if code := codeOf(err); code != "" {
		known, ok := troubles[code]
		switch {
		case code == codeProtocol && strings.Contains(err.Error(), "startup parameter"):
			const advice = "a pooler refuses what is set for a session: add pooler=transaction to the address"
			return sqlstore.Unavailable, &explained{sqlstore.Unavailable, advice, err}
		case !ok && (strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "58")):
			return sqlstore.Unavailable, err
		case !ok || known.advice == "":
			return known.Trouble, err
		}
		return known.Trouble, &explained{known.Trouble, known.advice, err}
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return sqlstore.Unknown, err
	case errors.As(err, &connecting), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "closed pool"):
		return sqlstore.Unavailable, &explained{sqlstore.Unavailable, "the server cannot be reached: look whether it runs, and at the address", err}
	}
	return sqlstore.Unknown, err
}

// certain reports whether a failed transaction has certainly not been committed:
// the server has refused it and goes on.
func certain(err error) bool {
	e := (*pgconn.PgError)(nil)
	return errors.As(err, &e) && severityOf(e) == "ERROR" || errors.As(err, new(*pgconn.ConnectError)) || pgconn.SafeToRetry(err)
}

// severityOf returns an error's severity in English. Poolers may send but the one
// word that a server translates.
func severityOf(e *pgconn.PgError) string { return cmp.Or(e.SeverityUnlocalized, e.Severity) }
