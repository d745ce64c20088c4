package rig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the admin's connection

	"github.com/gobellhop/bellhop/internal/testservers"
)

// mariadbSettings are those of a small production server; everything else is MariaDB's default, which is durable.
var mariadbSettings = []string{
	"innodb_buffer_pool_size=1G", "innodb_log_file_size=1G", "innodb_flush_log_at_trx_commit=1", "log_bin=bench", "binlog_format=ROW",
	"server_id=1", "default_time_zone='+00:00'",
}

type mariadb struct {
	server
	admin   *sql.DB
	version string
}

func startMariaDB(ctx context.Context) (_ Store, err error) {
	m := &mariadb{}
	if m.Instance, err = testservers.Launch(testservers.NameMariaDB, mariadbSettings...); err != nil {
		return nil, err
	}
	if err := m.connect(ctx); err != nil {
		return nil, errors.Join(err, m.Instance.Close())
	}
	return m, nil
}

func (m *mariadb) connect(ctx context.Context) error {
	u, err := url.Parse(m.Address)
	if err != nil {
		return err
	}
	if m.admin, err = sql.Open("mysql", fmt.Sprintf("%s@tcp(%s)/mysql", u.User.String(), u.Host)); err != nil {
		return err
	}
	var file string
	if err := m.admin.QueryRowContext(ctx, "select version(), @@pid_file").Scan(&m.version, &file); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err == nil {
		m.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	return err
}

func (m *mariadb) Describe() []string {
	return []string{"MariaDB " + m.version, "settings " + strings.Join(mariadbSettings, " ")}
}

func (m *mariadb) Fresh(ctx context.Context, name string) (string, error) {
	if err := m.Drop(ctx, name); err != nil {
		return "", err
	}
	_, err := m.admin.ExecContext(ctx, "create database `"+name+"`")
	return m.place(name), err
}

func (m *mariadb) Drop(ctx context.Context, name string) error {
	_, err := m.admin.ExecContext(ctx, "drop database if exists `"+name+"`")
	return err
}

func (m *mariadb) Settle(ctx context.Context, name string) error {
	rows, err := m.admin.QueryContext(ctx, "select table_name from information_schema.tables where table_schema = ?", name)
	if err != nil {
		return err
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		tables = append(tables, fmt.Sprintf("`%s`.`%s`", name, table))
	}
	if err := rows.Err(); err != nil || len(tables) == 0 {
		return err
	}
	if _, err := m.admin.ExecContext(ctx, "analyze table "+strings.Join(tables, ", ")); err != nil {
		return err
	}
	_, err = m.admin.ExecContext(ctx, "flush tables "+strings.Join(tables, ", "))
	return err
}

func (m *mariadb) Counters(ctx context.Context) (c Counters, err error) {
	for name, into := range map[string][]*float64{
		"Handler_commit": {&c.Commits}, "Innodb_os_log_written": {&c.LogBytes}, "Binlog_bytes_written": {&c.LogBytes},
		"Innodb_buffer_pool_read_requests": {&c.Buffers},
	} {
		var value float64
		if err := m.admin.QueryRowContext(ctx, "show global status like '"+name+"'").Scan(new(string), &value); err != nil {
			return c, err
		}
		*into[0] += value
	}
	return c, nil
}

func (m *mariadb) Pin(ctx context.Context, name string) (func(), error) {
	conn, err := m.admin.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"use `" + name + "`", "set transaction isolation level repeatable read", "start transaction with consistent snapshot",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "rollback")
		_ = conn.Close()
	}, nil
}

func (m *mariadb) Close() error {
	_ = m.admin.Close()
	return m.Instance.Close()
}
