package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// dialect is SQLite's. path is the database's, for messages.
type dialect struct{ path string }

func (dialect) Name() string { return "sqlite" }

var macros = strings.NewReplacer(
	"{list}", "select value from json_each(?)",
	"{numbers}", "select value from json_each(?)",
	"{tag}", `instr(j.tags, '"' || ? || '"') > 0`, // names need no escape
	"{contains}", "instr(j.args, ?) > 0",
	" {lock}", "", " {share}", "", " {keep}", "", " {skip}", "", " {skip:r}", "", // one writer at a time
	"{plain}", "+",
	"{running}", "bellhop_running p", "{running jobs}", "bellhop_running p cross join bellhop_jobs j on j.job = p.job",
	"{process}", "p.process", "{exchange}", "p.exchange",
	"{limit}", "limit ? + 0", // after a bare parameter SQLite compiles the statement anew for each value
)

// Numbers goes on where the last job has ended: there is a single writer.
func (dialect) Numbers(ctx context.Context, tx sqlstore.Tx, n int) ([]int64, error) {
	return sqlstore.NextNumbers(ctx, tx, n)
}

func (dialect) SQL(st *sqlstore.Stmt) string { return macros.Replace(st.Text) }

func (dialect) Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is compiled in
		panic(err)
	}
	return sub
}

// Lock does nothing: a writing transaction is alone anyway.
func (dialect) Lock(context.Context, sqlstore.Tx) error { return nil }

var hasTable = sqlstore.Compose("has table", `select count(*) from sqlite_master where type = 'table' and name = ?`)

func (dialect) HasTable(ctx context.Context, tx sqlstore.Tx, name string) (bool, error) {
	var n int64
	err := tx.Query(ctx, hasTable, func(r sqlstore.Row) error { return r.Scan(&n) }, name)
	return n > 0, err
}

// Primary result codes of SQLite.
const (
	codePerm     = 3
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIO       = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// codeOf returns SQLite's result code, whatever driver reports it; 0 if it is not an error of SQLite.
func codeOf(err error) int {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() & 0xff
	}
	// Other drivers: go by SQLite's own texts.
	text := err.Error()
	for part, code := range map[string]int{
		"database is locked": codeBusy, "database table is locked": codeLocked, "attempt to write a readonly database": codeReadOnly,
		"disk I/O error": codeIO, "database disk image is malformed": codeCorrupt, "database or disk is full": codeFull,
		"unable to open database file": codeCantOpen, "file is not a database": codeNotADB,
	} {
		if strings.Contains(text, part) {
			return code
		}
	}
	return 0
}

// Explain says what is wrong, where, and what to do.
func (d dialect) Explain(err error) (sqlstore.Trouble, error) {
	if err == nil {
		return sqlstore.Unknown, nil
	}
	switch codeOf(err) {
	case codeBusy, codeLocked:
		return sqlstore.Conflict, fmt.Errorf("another program holds %s locked: end its transaction: %w", d.file(), err)
	case codeFull: // a commit that finds no room for its last frame is none
		return sqlstore.Unavailable, sqlstore.Unchanged(fmt.Errorf("the disk with %s is full: free some space: %w", d.file(), err))
	case codeCorrupt:
		return sqlstore.Unavailable, fmt.Errorf("%s is damaged: stop all programs that use it, and restore a backup or recover it with `sqlite3 %s .recover`: %w", d.file(), d.file(), err)
	case codeNotADB:
		return sqlstore.Unavailable, fmt.Errorf("%s is not an SQLite database: correct the path, or move the file away: %w", d.file(), err)
	case codeIO:
		return sqlstore.Unavailable, fmt.Errorf("%s cannot be read or written: look at the disk, and whether the file is still there: %w", d.file(), err)
	case codeReadOnly, codePerm:
		return sqlstore.Unavailable, fmt.Errorf("%s cannot be written: make the file and its folder writable for this user: %w", d.file(), err)
	case codeCantOpen:
		return sqlstore.Unavailable, fmt.Errorf("%s cannot be opened: look at the rights of the file and its folder: %w", d.file(), err)
	}
	if strings.Contains(err.Error(), "no such table: bellhop_") {
		return sqlstore.NoTable, fmt.Errorf("%s has no schema of Bellhop: run `bellhop migrate up`: %w", d.file(), err)
	}
	return sqlstore.Unknown, err
}

func (d dialect) file() string {
	if d.path == "" {
		return "the database"
	}
	return d.path
}
