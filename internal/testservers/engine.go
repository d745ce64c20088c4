package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Names of the stores that have servers, as BELLHOP_TEST_STORES and [Launch] know them.
const (
	NamePostgres     = "postgres"
	NameMariaDB      = "mysql"
	NameRedis        = "redis"
	NameRedisCluster = "redis-cluster" // selected together with redis
)

// password of the administrators: not a secret, but one must be given, and one that is no word of our messages, where it is masked.
const password = "only-tests"

// engine is how one kind of server is set up and run.
type engine struct {
	title    string   // for messages
	store    string   // by which ./test selects it
	variable string   // of the environment that names a running one
	binary   []string // the first that is found
	folders  []string // where to look besides the PATH; patterns
	pack     string   // the Debian package that brings the binary
	user     string   // that the package made
	stop     syscall.Signal
	shared   []string // more configuration of the server that tests share: it need not outlive the machine, so nothing waits for the disk

	prepare func(s *Instance) error    // makes the data in s.folder; once
	args    func(s *Instance) []string // of the binary
	address func(s *Instance) string
	ping    func(ctx context.Context, address string) error
}

var engines = map[string]*engine{
	NamePostgres: {
		title: "PostgreSQL", store: NamePostgres, variable: "BELLHOP_TEST_POSTGRES",
		binary: []string{"postgres"}, folders: []string{"/usr/lib/postgresql/*/bin"}, pack: "postgresql", user: "postgres",
		stop:    syscall.SIGINT, // its fast shutdown; SIGTERM would wait for clients
		shared:  []string{"fsync = off", "full_page_writes = off"},
		prepare: preparePostgres, args: argsPostgres, address: addressPostgres, ping: pingPostgres,
	},
	NameMariaDB: {
		title: "MariaDB", store: NameMariaDB, variable: "BELLHOP_TEST_MARIADB",
		binary: []string{"mariadbd"}, folders: []string{"/usr/sbin", "/usr/local/sbin"}, pack: "mariadb-server", user: "mysql",
		stop:    syscall.SIGTERM,
		shared:  []string{"innodb_flush_method = nosync", "sync_frm = 0"},
		prepare: prepareMariaDB, args: argsMariaDB, address: addressMariaDB, ping: pingMariaDB,
	},
	NameRedis: {
		title: "Redis", store: NameRedis, variable: "BELLHOP_TEST_REDIS",
		binary: []string{"redis-server", "valkey-server"}, pack: "redis-server", user: "redis",
		stop:    syscall.SIGTERM,
		prepare: prepareRedis, args: argsRedis, address: addressRedis, ping: pingRedis,
	},
}

// missing is the error of a server that is not installed.
type missing struct{ *engine }

func (m missing) Error() string {
	return fmt.Sprintf("testservers: %s is not installed: apt-get install --no-install-recommends %s, or leave its tests out: %s",
		m.title, m.pack, "./test --store sqlite")
}

// find returns the path of the server's binary: the one on the PATH, else the newest elsewhere.
func (e *engine) find() (string, error) {
	for _, name := range e.binary {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
		var found []string
		for _, folder := range e.folders {
			list, err := filepath.Glob(filepath.Join(folder, name))
			if err != nil {
				return "", err
			}
			found = append(found, list...)
		}
		if len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
		}
	}
	return "", missing{e}
}

// version is the first whole number in a path like /usr/lib/postgresql/15/bin.
func version(path string) int {
	for part := range strings.SplitSeq(path, "/") {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return 0
}

// Variables are those of the environment that name running servers, by store: BELLHOP_TEST_POSTGRES and so on.
func Variables() map[string]string {
	names := map[string]string{NameRedisCluster: clusterVariable}
	for name, e := range engines {
		names[name] = e.variable
	}
	return names
}

// StoresVariable holds the stores whose tests are to run, with commas between; all if it is empty.
const StoresVariable = "BELLHOP_TEST_STORES"

// Selected reports whether tests of the store are to run, by [StoresVariable].
func Selected(store string) bool {
	list := os.Getenv(StoresVariable)
	if list == "" {
		return true
	}
	return slices.Contains(strings.Split(list, ","), store)
}

// Missing returns the Debian packages that the selected servers still need, sorted.
func Missing() (packages []string) {
	for _, e := range engines {
		if !Selected(e.store) {
			continue
		}
		var m missing
		if _, err := e.find(); errors.As(err, &m) {
			packages = append(packages, e.pack)
		}
	}
	slices.Sort(packages)
	return packages
}
