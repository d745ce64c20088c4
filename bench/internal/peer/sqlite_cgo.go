//go:build cgo && !race

package peer

import _ "github.com/mattn/go-sqlite3" // the driver that the peers' guides name

const (
	cgoDriver  = true
	driverName = "mattn/go-sqlite3"
)
