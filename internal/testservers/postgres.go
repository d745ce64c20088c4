package testservers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// confPostgres is for the shared server as for one of a test: enough connections for packages that are tested at once.
const confPostgres = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 400
timezone = 'Asia/Kathmandu'
log_timezone = 'UTC'
dynamic_shared_memory_type = mmap # nothing is left in /dev/shm after a kill
`

func (s *Instance) data() string { return filepath.Join(s.folder.path, "data") }

func preparePostgres(s *Instance) error {
	if err := s.write("password", password); err != nil {
		return err
	}
	binary, err := filepath.EvalSymlinks(s.binary) // initdb is beside the real one
	if err != nil {
		return err
	}
	err = s.run(filepath.Join(filepath.Dir(binary), "initdb"), "-D", s.data(), "-U", "postgres", "-A", "scram-sha-256",
		"--pwfile", filepath.Join(s.folder.path, "password"), "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer conf.Close()
	_, err = fmt.Fprintf(conf, confPostgres+"%s\n", s.port.Number, s.folder.path, strings.Join(s.conf, "\n"))
	return err
}

func argsPostgres(s *Instance) []string { return []string{"-D", s.data()} }

func addressPostgres(s *Instance) string {
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, s.port.Number)
}

func pingPostgres(ctx context.Context, address string) error {
	return execPostgres(ctx, address, "")
}

// execPostgres runs one statement on a connection of its own.
func execPostgres(ctx context.Context, address, statement string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
