package sqlstore

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/gobellhop/bellhop"
)

// Dialect answers what differs between databases.
type Dialect interface {
	// Name is the database's, for messages: "sqlite".
	Name() string
	// SQL returns a statement's text in this dialect: the standard text with its
	// macros expanded, or another text that measures better.
	//
	// The macros {list} and {numbers} stand for a query that returns the elements
	// of one parameter, a [Texts] or a [Numbers], one a row. {tag} stands for the
	// condition that j.tags, a JSON array, has one parameter as an element;
	// {contains} for the condition that the bytes in j.args contain one parameter;
	// {limit} for a limit that is one parameter. {plain} stands before a column whose
	// index must not be used: the rows are few already, and in order.
	// {running} stands for bellhop_running as p, for a look at all that is running
	// or at what a process or an exchange has claimed, {running jobs} for the same
	// with their jobs as j, and {process} and {exchange} for the columns by which to look.
	//
	// Behind a query, {lock} stands for what locks its rows until the transaction
	// ends, {share} for what locks them against a {lock} of others but not
	// against another {share}, {keep} for what locks them against a {lock} and
	// another {keep} and, if the database can, not against a {share}, and {skip}
	// for what locks them but passes over those that are locked; {skip:r} locks the
	// rows of r alone. All of these are empty where there is a single writer.
	SQL(st *Stmt) string
	// Lock takes the lock under which the schema is changed, until the
	// transaction ends.
	Lock(ctx context.Context, tx Tx) error
	// Numbers returns n new job numbers, ascending. Where there is a single
	// writer they follow the last job's.
	Numbers(ctx context.Context, tx Tx, n int) ([]int64, error)
	// HasTable tells whether there is a table of that name.
	HasTable(ctx context.Context, tx Tx, name string) (bool, error)
	// Migrations holds the files NNNN_name.up.sql and NNNN_name.down.sql.
	Migrations() fs.FS
	// Explain turns an error of the driver into one line that says what is wrong
	// and what to do, and tells what kind of trouble it is.
	Explain(err error) (Trouble, error)
}

// KeyLocker is the ability of a [Dialect] whose database ends in deadlocks when
// several wait to insert one key.
type KeyLocker interface {
	// LockKeys has whoever wants to take one of these unique keys wait, before they
	// are taken, until the transaction ends.
	LockKeys(ctx context.Context, tx Tx, keys []string) error
}

// ClaimLister is the ability of a [Dialect] in which each exchange that has made
// claims lists their jobs, so that they are found by their exchanges. Each job that
// is running is in the list of the exchange that has claimed it.
type ClaimLister interface {
	// ListClaims notes what an exchange of a process has claimed, in place of what
	// it had claimed before.
	ListClaims(ctx context.Context, tx Tx, exchange, process bellhop.ID, now int64, jobs Numbers) error
	// Listed returns the exchanges that a process has made before a moment.
	Listed(ctx context.Context, tx Tx, process bellhop.ID, before int64) ([]bellhop.ID, error)
	// Unlist removes the lists of those exchanges of which nothing is running, and
	// passes over those that others are about to change.
	Unlist(ctx context.Context, tx Tx, exchanges []bellhop.ID) error
	// ListMissing lists what is running and in no list. It looks only if nobody has for some time.
	ListMissing(ctx context.Context, tx Tx, now int64) error
}

// Trouble sorts the errors of drivers.
type Trouble uint8

// The kinds of trouble.
const (
	Unknown     Trouble = iota // nothing is known about it
	Conflict                   // another transaction was in the way: try again
	Locked                     // another transaction has held a lock for too long
	Unavailable                // the database cannot be reached or cannot work
	NoTable                    // there is no such table: the schema is not there
)

// Database runs transactions. [Pool] is one on database/sql.
type Database interface {
	// Write runs fn in one writing transaction, and commits it if fn returns nil.
	// Conflicts are tried again until ctx ends: fn may run several times.
	Write(ctx context.Context, step Step, fn func(Tx) error) error
	// Read runs fn in one reading transaction that sees one moment. Conflicts are
	// tried again as in Write.
	Read(ctx context.Context, step Step, fn func(Tx) error) error
	// Close ends the use of the database.
	Close() error
}

// Step is called before and after each statement; see [bellhop.Stepper]. It may be nil.
type Step func(ctx context.Context, statement string, done bool) error

// Tx is a transaction of a [Database].
type Tx interface {
	// Now returns the store's clock in microseconds, the same throughout the transaction.
	Now(ctx context.Context) (int64, error)
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, st *Stmt, args ...any) (int64, error)
	// Each runs a statement once for each of n rows of arguments, and returns how
	// many rows each run changed, in changed if that is not nil. args fills its
	// slice with a row's arguments and returns it; the slice is used again.
	Each(ctx context.Context, st *Stmt, n int, args func(i int, row []any) []any, changed []int64) error
	// Rows runs a statement with {rows} in it for n rows of arguments, many at a
	// time, and returns how many rows it changed. args is as in Each; tail are the
	// arguments behind the rows.
	Rows(ctx context.Context, st *Stmt, n int, args func(i int, row []any) []any, tail ...any) (int64, error)
	// Query runs a statement and calls scan for each row of its result. The scan
	// function must not use the transaction.
	Query(ctx context.Context, st *Stmt, scan func(Row) error, args ...any) error
}

// Row is one row of a result.
type Row interface {
	Scan(dest ...any) error
}

// Presence knows which processes of this machine are alive, from outside the
// database. A store without one goes by leases alone.
type Presence interface {
	// Enter says that this process runs under the id. It is called before the
	// process is registered, and may be called again.
	Enter(id bellhop.ID) error
	// Leave ends what Enter began. Unknown ids are no matter.
	Leave(id bellhop.ID)
	// Look tells whether the process lives.
	Look(id bellhop.ID) Life
}

// Life says what a [Presence] knows of a process.
type Life uint8

// What a [Presence] can know.
const (
	Unsure Life = iota // nothing
	Alive              // it is there, but may be frozen
	Gone               // it has ended
)

// Stmt is a named statement in the standard text, with a question mark for each
// parameter.
type Stmt struct {
	// Name says what the statement does, in a few words, for fault tests, logs and traces.
	Name string
	// Text is the standard text.
	Text string
	// bulk is the same statement for more rows, the most first, if it is one for Tx.Rows.
	bulk []bulkStmt
	// passing is a statement that is composed for one call and not kept prepared.
	passing bool
}

var statements []*Stmt

// define puts a statement into the list.
func define(name, text string) *Stmt {
	st := &Stmt{Name: name, Text: text}
	statements = append(statements, st)
	return st
}

type bulkStmt struct {
	rows int
	stmt *Stmt
}

// defineRows puts a statement for Tx.Rows into the list: {rows} in its text
// stands for rows of so many values.
func defineRows(name string, width int, text string) *Stmt {
	row := "(?" + strings.Repeat(", ?", width-1) + ")"
	st := define(name, strings.Replace(text, "{rows}", row, 1))
	for _, n := range []int{32, 8} {
		many := define(fmt.Sprintf("%s, %d rows", name, n), strings.Replace(text, "{rows}", row+strings.Repeat(", "+row, n-1), 1))
		st.bulk = append(st.bulk, bulkStmt{n, many})
	}
	st.bulk = append(st.bulk, bulkStmt{1, st})
	return st
}

// Statements returns all statements that are not composed for one call.
func Statements() []*Stmt { return statements }

// Passing reports whether the statement is composed for one call.
func (st *Stmt) Passing() bool { return st.passing }

// Define returns a statement that is kept prepared, for statements outside this
// package. It is not among [Statements].
func Define(name, text string) *Stmt { return &Stmt{Name: name, Text: text} }

// compose returns a statement for one call.
func compose(name, text string) *Stmt { return &Stmt{Name: name, Text: text, passing: true} }

// Compose returns a statement that is not kept prepared, for uses outside this package.
func Compose(name, text string) *Stmt { return compose(name, text) }
