package peer

import (
	"database/sql"
	"strings"
)

// The ways in which peers open SQLite. The first is what their guides say, and is synchronous=NORMAL with mattn's driver: a crash of
// the machine may take back what had been committed. The second is as durable as ours.
const (
	sqliteGuide = "?_journal=WAL&_timeout=5000&_txlock=immediate"
	sqliteFull  = sqliteGuide + "&_sync=FULL"
)

// openSQLite opens the file of an address through cgo's driver if there is one, else through the one in Go.
func openSQLite(address, parameters string, connections int) (*sql.DB, error) {
	file := strings.TrimPrefix(address, "sqlite:")
	var db *sql.DB
	var err error
	if cgoDriver {
		db, err = sql.Open("sqlite3", "file:"+file+parameters)
	} else {
		sync := "NORMAL"
		if strings.Contains(parameters, "FULL") {
			sync = "FULL"
		}
		db, err = sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous("+sync+")")
	}
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// count returns the one number that a query asks for.
func count(db *sql.DB, query string) (n int, err error) {
	err = db.QueryRow(query).Scan(&n)
	return n, err
}
