// Package all brings every store along, for programs whose users choose one by its address, such as the command bellhop:
//
//	import _ "github.com/gobellhop/bellhop/store/all"
//
// A program that knows its store imports that store's package instead, and carries one database driver.
package all

import (
	_ "github.com/gobellhop/bellhop/store/memory"    // memory:
	_ "github.com/gobellhop/bellhop/store/mysql"     // mysql:
	_ "github.com/gobellhop/bellhop/store/partition" // partition:
	_ "github.com/gobellhop/bellhop/store/postgres"  // postgres:
	_ "github.com/gobellhop/bellhop/store/redis"     // redis: rediss: redis+sentinel: redis+cluster:
	_ "github.com/gobellhop/bellhop/store/sqlite"    // sqlite:
)
