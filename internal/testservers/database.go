package testservers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Database makes a new empty database and returns its address. On Redis, which has no such thing, it returns Address.
func (s *Instance) Database() (address string, err error) {
	address, _, err = makeDatabase(s.engine, s.Address)
	return address, err
}

// makeDatabase makes a database on the server at the address. Dropping it needs no success: the server may be down, and is temporary.
func makeDatabase(e *engine, address string) (database string, drop func(), err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, err
	}
	exec, force := execPostgres, " WITH (FORCE)"
	switch e.store {
	case NameRedis:
		return address, func() {}, nil
	case NameMariaDB:
		exec, force = execMariaDB, ""
	}
	name := "t_" + strings.ToLower(rand.Text())
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := exec(ctx, address, "CREATE DATABASE "+name); err != nil {
		return "", nil, fmt.Errorf("testservers: %s: %w", e.title, err)
	}
	u.Path = "/" + name
	return u.String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = exec(ctx, address, "DROP DATABASE IF EXISTS "+name+force) // see above
	}, nil
}
