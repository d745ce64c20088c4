package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	mysql "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Error numbers of the server.
const (
	codeDeadlock     = 1213
	codeLockWait     = 1205
	codeNoTable      = 1146
	codeReadOnly     = 1290 // --read-only
	codeReadOnlyMode = 1836
	codeReadOnlyTx   = 1792
	codeNoRight      = 1142
	codeNoPrivilege  = 1227
)

// codeOf returns the server's error number; 0 if it is not an error of the server.
func codeOf(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// trouble is what an error number means, with what to do.
type trouble struct {
	kind sqlstore.Trouble
	text string // with one %s for the database
}

// troubles are the errors that deserve more than the server's own words.
var troubles = map[uint16]trouble{
	codeDeadlock: {sqlstore.Conflict, "another transaction was in the way in %s: try the whole transaction again"},
	codeLockWait: {sqlstore.Locked, "another transaction holds a row in %s: end it, or try again"},
	1020:         {sqlstore.Conflict, "another transaction was in the way in %s: try the whole transaction again"},
	1412:         {sqlstore.Conflict, "the schema of %s has just been changed: try again"},
	3101:         {sqlstore.Conflict, "another transaction was in the way in %s: try the whole transaction again"},
	3572:         {sqlstore.Locked, "another transaction holds a row in %s: end it, or try again"},

	1040:            {sqlstore.Unavailable, "the server of %s has no connection left: raise its max_connections, or lower the connections of its users"},
	1203:            {sqlstore.Unavailable, "the user has no connection left for %s: raise max_user_connections, or lower ?connections="},
	1226:            {sqlstore.Unavailable, "the user has used up a limit for %s: raise it"},
	1044:            {sqlstore.Unavailable, "the user may not use %s: grant it the rights that docs/mysql.md names"},
	1045:            {sqlstore.Unavailable, "user or password are wrong for %s: correct the address"},
	1698:            {sqlstore.Unavailable, "user or password are wrong for %s: correct the address"},
	codeNoRight:     {sqlstore.Unavailable, "the user lacks a right in %s: grant it the rights that docs/mysql.md names"},
	1143:            {sqlstore.Unavailable, "the user lacks a right in %s: grant it the rights that docs/mysql.md names"},
	codeNoPrivilege: {sqlstore.Unavailable, "the user lacks a right in %s: grant it the rights that docs/mysql.md names"},
	1370:            {sqlstore.Unavailable, "the user lacks a right in %s: grant it the rights that docs/mysql.md names"},
	1049:            {sqlstore.Unavailable, "there is no such database: create it, or correct the address of %s"},
	1046:            {sqlstore.Unavailable, "the pool of %s has chosen no database: name one in its DSN"},

	codeReadOnly:     {sqlstore.Unavailable, "the server of %s takes no writes: it is a replica or set to read_only; use the primary"},
	codeReadOnlyMode: {sqlstore.Unavailable, "the server of %s takes no writes: it is set to read_only; use the primary"},
	codeReadOnlyTx:   {sqlstore.Unavailable, "the transaction in %s may not write: begin it without READ ONLY"},

	1021: {sqlstore.Unavailable, "the disk of %s is full: free some space"},
	1114: {sqlstore.Unavailable, "the disk or the tablespace of %s is full: free some space"},
	1053: {sqlstore.Unavailable, "the server of %s is shutting down"},
	1129: {sqlstore.Unavailable, "the server of %s refuses this host after too many failed connections: run `mysqladmin flush-hosts` there"},
	1130: {sqlstore.Unavailable, "the server of %s does not accept this host: create the user for it"},
	1317: {sqlstore.Unavailable, "the server of %s has interrupted a statement"},
	1927: {sqlstore.Unavailable, "the server of %s has ended the connection"},
	1969: {sqlstore.Unavailable, "a statement in %s took longer than max_statement_time allows: raise it"},
	3024: {sqlstore.Unavailable, "a statement in %s took longer than max_execution_time allows: raise it"},
	4031: {sqlstore.Unavailable, "the server of %s has ended an idle connection"},
	1153: {sqlstore.Unknown, "a statement was too large for %s: raise max_allowed_packet"},
}

// Explain implements [sqlstore.Dialect].
func (d *dialect) Explain(err error) (sqlstore.Trouble, error) {
	if err == nil {
		return sqlstore.Unknown, nil
	}
	code := codeOf(err)
	if code == codeNoTable && strings.Contains(err.Error(), "bellhop_") {
		return sqlstore.NoTable, fmt.Errorf("%s has no schema of Bellhop: run `bellhop migrate up`: %w", d.target, err)
	}
	if t, ok := troubles[code]; ok {
		return t.kind, fmt.Errorf(t.text+": %w", d.target, err)
	}
	if errors.Is(err, errSession) {
		return sqlstore.Unavailable, err
	}
	var network net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &network), errors.As(err, &op), errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, mysql.ErrBusyBuffer):
		return sqlstore.Unavailable, fmt.Errorf("the server of %s cannot be reached: see that it runs, and the address: %w", d.target, err)
	}
	return sqlstore.Unknown, err
}
