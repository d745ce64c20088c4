// Package outboxdb opens the database of an outbox by its address: for the command line, tests and storms. Programs of users have
// a pool of their own, and so package outbox knows no driver.
//
// A job passes through the pool that is opened here twice: when the relay reads its row, and when it deletes it.
package outboxdb

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // sqlite

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
)

// Open returns a pool for a database, and the dialect that it speaks; it does not connect yet. The addresses are those of
// stores, without their parameters: for PostgreSQL, parameters are those of pgx, for MySQL those of its driver, for SQLite
// there are none. The database must be there. Errors name the address with its password masked.
func Open(address string) (*sql.DB, outbox.Dialect, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	open, ok := map[string]func(string) (*sql.DB, outbox.Dialect, error){
		"postgres": openPostgres, "postgresql": openPostgres, "mysql": openMySQL, "mariadb": openMySQL, "sqlite": openSQLite,
	}[scheme]
	err := errors.New("want an address with the scheme postgres, mysql or sqlite")
	if ok && rest != "" {
		var db *sql.DB
		var dialect outbox.Dialect
		if db, dialect, err = open(address); err == nil {
			db.SetConnMaxIdleTime(5 * time.Minute)
			return db, dialect, nil
		}
	}
	return nil, 0, fmt.Errorf("open database %q: %w", bellhop.MaskAddress(address), err)
}

func openPostgres(address string) (*sql.DB, outbox.Dialect, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil { // the text holds the address
		return nil, 0, errors.New("the address cannot be read: want postgres://user:password@host:5432/database")
	}
	return stdlib.OpenDB(*config), outbox.PostgreSQL, nil
}

func openMySQL(address string) (*sql.DB, outbox.Dialect, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, 0, errors.New("the address cannot be read: want mysql://user:password@host:3306/database")
	}
	base := "/"
	if u.RawQuery != "" {
		base += "?" + u.RawQuery
	}
	config, err := mysql.ParseDSN(base)
	if err != nil {
		return nil, 0, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	config.Net, config.Addr, config.User, config.DBName = "tcp", u.Host, u.User.Username(), strings.Trim(u.Path, "/")
	config.Passwd, _ = u.User.Password()
	if u.Port() == "" {
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	config.Logger = &mysql.NopLogger{} // what goes wrong is told by whoever called
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, 0, err
	}
	return sql.OpenDB(connector), outbox.MySQL, nil
}

func openSQLite(address string) (*sql.DB, outbox.Dialect, error) {
	path := strings.TrimPrefix(address, "sqlite:")
	if after, ok := strings.CutPrefix(path, "//"); ok {
		path = after
	}
	path, err := url.PathUnescape(path)
	if err != nil || path == "" || strings.Contains(path, "?") {
		return nil, 0, errors.New("the address cannot be read: want sqlite:app.db or sqlite:///var/lib/app.db, without parameters")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, 0, err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_txlock=immediate&_pragma=busy_timeout(5000)")
	return db, outbox.SQLite, err
}
