package mysql

import (
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// Advance moves a store's clock on.
func Advance(s *Store, d time.Duration) { s.database.ahead.Add(d.Microseconds()) }

// Ahead returns by how much.
func Ahead(s *Store) time.Duration { return time.Duration(s.database.ahead.Load()) * time.Microsecond }

// ConfigOf returns the driver's configuration for an address.
func ConfigOf(address string) (*driver.Config, error) {
	t, err := parse(address)
	if err != nil {
		return nil, err
	}
	return t.config, nil
}

// Tables are the names of the tables, without their prefix.
var Tables = tables
