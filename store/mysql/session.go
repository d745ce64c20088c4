package mysql

import (
	"context"
	"database/sql/driver"
	"fmt"

	mysql "github.com/go-sql-driver/mysql"
)

const (
	// lockWait is after how many seconds a transaction of ours stops waiting for a
	// row that another holds, goes back, and is tried again. It is the least that
	// MySQL can do.
	lockWait = 1
	// idleLimit is after how many seconds the server ends a transaction of ours
	// whose process says nothing more, so that it holds no rows.
	idleLimit = 10
	// quietLimit is the same for MySQL, which cannot tell a connection in a
	// transaction from one that rests in the pool.
	quietLimit = 60
)

// settings are what our own sessions are set up with, in one round trip. The
// last comment is code for MariaDB only.
var settings = fmt.Sprintf(`set session transaction isolation level read committed;
	set sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1,
	innodb_lock_wait_timeout = %d, lock_wait_timeout = %d, wait_timeout = %d /*M!100600 , idle_transaction_timeout = %d */`,
	lockWait, idleLimit, quietLimit, idleLimit)

// connector makes our own sessions.
type connector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, settings, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// newConnector returns the connector for a driver's configuration, with what this
// package relies on: several statements in one round trip, arguments within
// the text (a prepared statement takes a round trip more, and a server keeps only
// so many), and bytes that are the same on both sides.
func newConnector(c *mysql.Config) (driver.Connector, error) {
	c.MultiStatements, c.InterpolateParams, c.ParseTime = true, true, false
	c.Logger = nowhere{}
	if err := c.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	inner, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return connector{inner}, nil
}

// nowhere is where the driver logs: the errors that it logs are returned as well.
type nowhere struct{}

func (nowhere) Print(...any) {}
