package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// server is what has to be known of the server.
type server struct {
	version  string
	comment  string
	packet   int // max_allowed_packet in bytes
	flush    int // innodb_flush_log_at_trx_commit
	binlog   bool
	syncLog  int // sync_binlog
	readOnly bool
	place    string // the server and the database, as place tells them
}

// place tells a server's database from all others.
const place = `select concat_ws(' ', @@hostname, @@port, @@datadir, database())`

func look(ctx context.Context, pool *sql.DB) (s server, err error) {
	err = pool.QueryRowContext(ctx, `select @@version, @@version_comment, @@max_allowed_packet, @@innodb_flush_log_at_trx_commit,
		@@log_bin, @@sync_binlog, @@global.read_only`).Scan(&s.version, &s.comment, &s.packet, &s.flush, &s.binlog, &s.syncLog, &s.readOnly)
	if err == nil {
		err = pool.QueryRowContext(ctx, place).Scan(&s.place)
	}
	return s, err
}

// leastPacket is the least max_allowed_packet: room for a job's results and texts
// at their largest, and for the lists of a claim.
const leastPacket = 1 << 20

// packetMargin is what is left free of a packet, for what the driver adds.
const packetMargin = 4 << 10

// freeLock frees the lock of a migration, if this session holds it.
const freeLock = `do release_lock(concat('bellhop/', left(sha1(database()), 40)))`

func (s *server) mariaDB() bool {
	return strings.Contains(strings.ToLower(s.version+s.comment), "mariadb")
}

var versionPattern = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?`)

// atLeast reports whether the version is that one or newer.
func (s *server) atLeast(want ...int) bool {
	found := versionPattern.FindStringSubmatch(s.version)
	for i, least := range want {
		if len(found) <= i+1 {
			return false
		}
		n, _ := strconv.Atoi(found[i+1])
		if n != least {
			return n > least
		}
	}
	return true
}

// check refuses a server that lacks what the statements need.
func (s *server) check() error {
	switch {
	case s.mariaDB() && !s.atLeast(10, 6):
		return fmt.Errorf("the server is MariaDB %s: Bellhop needs 10.6 or newer", s.version)
	case !s.mariaDB() && !s.atLeast(8, 0, 19):
		return fmt.Errorf("the server is MySQL %s: Bellhop needs 8.0.19 or newer", s.version)
	case s.packet < leastPacket:
		return fmt.Errorf("the server takes statements of at most %d bytes: set max_allowed_packet to %d or more", s.packet, leastPacket)
	}
	return nil
}

// durability says what a commit survives.
func (s *server) durability() string {
	switch {
	case s.flush == 0:
		return "a crash of the server, or a loss of power, may cost the commits of the last second (innodb_flush_log_at_trx_commit=0)"
	case s.flush == 2:
		return "a commit survives a crash of the server; a loss of power may cost the commits of the last second (innodb_flush_log_at_trx_commit=2)"
	case s.binlog && s.syncLog != 1:
		return fmt.Sprintf("a commit survives a crash of the server and a loss of power; replicas may then miss the last commits (sync_binlog=%d)", s.syncLog)
	}
	return "a commit survives a crash of the server and a loss of power"
}
