package postgres

import "time"

// Advance moves the server's clock on, as this store sees it.
func (s *Store) Advance(d time.Duration) { s.database.offset.Add(d.Microseconds()) }

// Advanced is by how much it was moved on.
func (s *Store) Advanced() time.Duration {
	return time.Duration(s.database.offset.Load()) * time.Microsecond
}
