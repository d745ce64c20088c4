package rig

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// postgresSettings are those of a small production server; everything else is PostgreSQL's default, which is durable.
var postgresSettings = []string{
	"shared_buffers=1GB", "max_wal_size=4GB", "checkpoint_timeout=15min", "fsync=on", "synchronous_commit=on", "full_page_writes=on",
	"autovacuum=on", "timezone=UTC",
}

type postgres struct {
	server
	admin   *pgx.Conn
	version string
}

func startPostgres(ctx context.Context) (_ Store, err error) {
	p := &postgres{}
	if p.Instance, err = testservers.Launch(testservers.NamePostgres, postgresSettings...); err != nil {
		return nil, err
	}
	if p.admin, err = pgx.Connect(ctx, p.Address); err == nil {
		p.pid = parent(int(p.admin.PgConn().PID()))
		err = p.admin.QueryRow(ctx, "show server_version").Scan(&p.version)
	}
	if err != nil {
		return nil, errors.Join(err, p.Instance.Close())
	}
	return p, nil
}

func (p *postgres) Describe() []string {
	return []string{"PostgreSQL " + p.version, "settings " + strings.Join(postgresSettings, " ")}
}

func (p *postgres) Fresh(ctx context.Context, name string) (string, error) {
	if err := p.Drop(ctx, name); err != nil {
		return "", err
	}
	_, err := p.admin.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	return p.place(name), err
}

func (p *postgres) Drop(ctx context.Context, name string) error {
	_, err := p.admin.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
	return err
}

func (p *postgres) Settle(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.place(name))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was written
	if _, err := conn.Exec(ctx, "vacuum analyze"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "checkpoint")
	return err
}

func (p *postgres) Counters(ctx context.Context) (c Counters, err error) {
	err = p.admin.QueryRow(ctx, `select sum(xact_commit), sum(blks_hit + blks_read), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
		from pg_stat_database`).Scan(&c.Commits, &c.Buffers, &c.LogBytes)
	return c, err
}

func (p *postgres) Pin(ctx context.Context, name string) (func(), error) {
	conn, err := pgx.Connect(ctx, p.place(name))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "begin isolation level repeatable read; select count(*) from pg_class"); err != nil {
		return nil, err
	}
	return func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}

func (p *postgres) Close() error {
	_ = p.admin.Close(context.Background())
	return p.Instance.Close()
}
