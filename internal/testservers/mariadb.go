package testservers

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// confMariaDB leaves the character set at the server's own default, latin1: a store has to say what it needs.
const confMariaDB = `[mariadbd]
bind-address = 127.0.0.1
port = %d
datadir = %s
socket = %s
pid-file = %s
init-file = %s
max_connections = 400
default_time_zone = '+05:45'
skip-name-resolve
`

// initMariaDB is run at each start.
const initMariaDB = "CREATE USER IF NOT EXISTS 'bellhop'@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO 'bellhop'@'%%' WITH GRANT OPTION;\n"

func prepareMariaDB(s *Instance) error {
	in := func(name string) string { return filepath.Join(s.folder.path, name) }
	conf := fmt.Sprintf(confMariaDB, s.port.Number, s.data(), in("socket"), in("pid"), in("init.sql")) + strings.Join(s.conf, "\n") + "\n"
	if err := s.write("server.cnf", conf); err != nil {
		return err
	}
	if err := s.write("init.sql", fmt.Sprintf(initMariaDB, password)); err != nil {
		return err
	}
	install, err := (&engine{title: "mariadb-install-db", binary: []string{"mariadb-install-db"}, pack: s.engine.pack}).find()
	if err != nil {
		return err
	}
	return s.run(install, "--no-defaults", "--datadir="+s.data(), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve")
}

func argsMariaDB(s *Instance) []string {
	return []string{"--defaults-file=" + filepath.Join(s.folder.path, "server.cnf")}
}

func addressMariaDB(s *Instance) string {
	return fmt.Sprintf("mysql://bellhop:%s@127.0.0.1:%d/mysql", password, s.port.Number)
}

func pingMariaDB(ctx context.Context, address string) error {
	return execMariaDB(ctx, address, "DO 1")
}

// execMariaDB runs one statement on a connection of its own.
func execMariaDB(ctx context.Context, address, statement string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	conf := mysql.NewConfig()
	conf.Net, conf.Addr, conf.User = "tcp", u.Host, u.User.Username()
	conf.DBName = strings.TrimPrefix(u.Path, "/")
	conf.Passwd, _ = u.User.Password()
	conf.Logger = &mysql.NopLogger{} // while the server starts, refusals are expected
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
