package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
)

// server is what a server says of itself.
type server struct {
	name, version string // "Redis" or "Valkey"
	role          string // "master"
	policy        string // maxmemory-policy
	limit, used   int64  // of memory, in bytes; a limit of 0 is none
	aof           bool
	aofBroken     bool   // the last write to the append-only file failed
	fsync         string // appendfsync; empty if the server does not tell
	save          string // when snapshots are written; empty for never
	saveKnown     bool
	saveBroken    bool // the last snapshot failed
}

// node returns the client of the server that keeps the namespace.
func (s *Store) node(ctx context.Context) (redis.Cmdable, error) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, s.keys.base)
	}
	return s.client, nil
}

// examine asks the server what it is and how it keeps data.
func (s *Store) examine(ctx context.Context) (*server, error) {
	node, err := s.node(ctx)
	if err != nil {
		return nil, err
	}
	var told *redis.StringCmd
	var fsync, save *redis.MapStringStringCmd
	_, _ = node.Pipelined(ctx, func(p redis.Pipeliner) error { // each has its own error
		told, fsync, save = p.Info(ctx), p.ConfigGet(ctx, "appendfsync"), p.ConfigGet(ctx, "save")
		return nil
	})
	if told.Err() != nil {
		return nil, told.Err()
	}
	info := map[string]string{}
	for line := range strings.Lines(told.Val()) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	v := &server{name: "Redis", version: info["redis_version"], role: info["role"], policy: info["maxmemory_policy"]}
	if info["valkey_version"] != "" {
		v.name, v.version = "Valkey", info["valkey_version"]
	}
	v.limit, _ = strconv.ParseInt(info["maxmemory"], 10, 64)
	v.used, _ = strconv.ParseInt(info["used_memory"], 10, 64)
	v.aof = info["aof_enabled"] == "1"
	v.aofBroken = info["aof_last_write_status"] == "err"
	v.saveBroken = info["rdb_last_bgsave_status"] == "err"
	// Hosted servers often do not let their configuration be read.
	v.fsync = fsync.Val()["appendfsync"]
	v.save, v.saveKnown = save.Val()["save"]
	return v, nil
}

// evicts reports whether the server may delete keys that have no time to live, as jobs have none.
func (v *server) evicts() bool { return strings.HasPrefix(v.policy, "allkeys-") }

// fit refuses a server that cannot keep jobs.
func (v *server) fit(evicting bool) error {
	major, _, _ := strings.Cut(v.version, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err == nil && n < 7:
		return fmt.Errorf("%s %s is too old: Redis 7.0 or Valkey 7.2 is needed", v.name, v.version)
	case v.role == "slave" || v.role == "replica":
		return fmt.Errorf("%w: the server is a replica and takes no writes: connect to its master, or use redis+sentinel://", bellhop.ErrUnavailable)
	case v.evicts() && !evicting:
		return fmt.Errorf("the server's maxmemory-policy is %s, so it may delete jobs when its memory is full: run `CONFIG SET maxmemory-policy noeviction`, or accept the loss with ?eviction=allow", v.policy)
	}
	return nil
}

// durability says in one line what survives what.
func (v *server) durability() string {
	var line string
	switch {
	case v.aof && v.fsync == "always":
		line = "a commit survives a crash of the server and a loss of power (append-only file, appendfsync always)"
	case v.aof && v.fsync == "everysec":
		line = "a commit survives a crash of the server's process; a loss of power may cost the last second, two under load (append-only file, appendfsync everysec)"
	case v.aof && v.fsync == "no":
		line = "a commit survives a crash of the server's process; a loss of power may cost the last half minute (append-only file, appendfsync no)"
	case v.aof:
		line = "a commit survives a crash of the server's process; a loss of power may cost the last seconds (append-only file; the server does not tell its appendfsync)"
	case v.save != "":
		line = "a crash of the server costs all since its last snapshot (no append-only file; save " + v.save + ")"
	case v.saveKnown:
		line = "nothing survives the server's process: it has neither an append-only file nor snapshots"
	default:
		line = "a crash of the server costs at least all since its last snapshot (no append-only file)"
	}
	if v.evicts() {
		line += "; and the server may evict jobs (maxmemory-policy " + v.policy + ")"
	}
	return line
}
