package rig

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// redisSettings are those of a queue that is not to lose its jobs: an append-only file, written to disk once a second.
var redisSettings = []string{"appendonly yes", "appendfsync everysec", `save ""`, "auto-aof-rewrite-percentage 0", "maxmemory-policy noeviction", "databases 1000"}

type redisServer struct {
	server
	admin   *redis.Client
	version string
	numbers map[string]int // of the databases, by name
}

func startRedis(ctx context.Context) (_ Store, err error) {
	r := &redisServer{numbers: map[string]int{}}
	if r.Instance, err = testservers.Launch(testservers.NameRedis, redisSettings...); err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(r.Address)
	if err != nil {
		return nil, errors.Join(err, r.Instance.Close())
	}
	r.admin = redis.NewClient(options)
	info, err := r.info(ctx)
	if err != nil {
		return nil, errors.Join(err, r.Instance.Close())
	}
	r.version = info["redis_version"]
	r.pid, _ = strconv.Atoi(info["process_id"])
	return r, nil
}

func (r *redisServer) Describe() []string {
	return []string{"Redis " + r.version, "settings " + strings.Join(redisSettings, ", ")}
}

// Fresh gives each name a numbered database of its own.
func (r *redisServer) Fresh(ctx context.Context, name string) (string, error) {
	if _, known := r.numbers[name]; !known {
		r.numbers[name] = len(r.numbers)
	}
	return r.place(strconv.Itoa(r.numbers[name])), r.Drop(ctx, name)
}

func (r *redisServer) Drop(ctx context.Context, name string) error {
	_, err := r.admin.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "select", r.numbers[name])
		p.FlushDB(ctx)
		p.Do(ctx, "select", 0)
		return nil
	})
	return err
}

// Settle waits until the append-only file is on disk.
func (r *redisServer) Settle(ctx context.Context, _ string) error {
	for range 100 {
		info, err := r.info(ctx)
		if err != nil {
			return err
		}
		if info["aof_buffer_length"] == "0" && info["aof_pending_bio_fsync"] == "0" {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // the file is written in the background
	}
	return nil
}

func (r *redisServer) Counters(ctx context.Context) (c Counters, err error) {
	info, err := r.info(ctx)
	if err != nil {
		return c, err
	}
	c.Commits, _ = strconv.ParseFloat(info["total_commands_processed"], 64)
	c.LogBytes, _ = strconv.ParseFloat(info["aof_current_size"], 64)
	return c, nil
}

func (r *redisServer) info(ctx context.Context) (map[string]string, error) {
	text, err := r.admin.Info(ctx, "server", "stats", "persistence").Result()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			values[key] = value
		}
	}
	return values, nil
}

// Pin is not for Redis, which has no snapshots.
func (r *redisServer) Pin(context.Context, string) (func(), error) {
	return nil, errors.New("old snapshots are a matter for SQL servers")
}

func (r *redisServer) Close() error {
	_ = r.admin.Close()
	return r.Instance.Close()
}
