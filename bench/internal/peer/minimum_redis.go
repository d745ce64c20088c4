package peer

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	least := Contender{
		Name: "minimum", Store: "redis", Title: "Hand-written minimum", Family: "minimum", Version: "in bench", Keeps: true,
		Settings: "a hash for each job, a list of ids, a sorted set of leases; one script claims 1000, one acknowledges 1000, which leaves the attempt in the " +
			"job's hash and the id in a sorted set of finished ones; 2 workers; bulk: 1000 in a pipeline from 2 goroutines",
		BulkCallers: 2, BulkSize: 1000, Open: openMinimumRedis(true),
	}
	bare := least
	bare.Name, bare.Title, bare.Keeps = "minimum-drop", "Hand-written minimum that keeps nothing", false
	bare.Settings = "as the other, but acknowledging deletes the job and nothing is recorded"
	bare.Open = openMinimumRedis(false)
	add(least, bare)
}

// minimumRedis is a queue of a list and a hash for each job: no retries, no due times, and nobody looks at the leases.
type minimumRedis struct {
	client *redis.Client
	keeps  bool
}

// The scripts take times from their caller, since they would be the same within a script anyway.
var (
	redisClaim = redis.NewScript(`
		local ids = redis.call('LPOP', KEYS[1], 1000)
		if not ids then return {} end
		local out = {}
		for i, id in ipairs(ids) do
			redis.call('ZADD', KEYS[2], ARGV[1], id)
			out[2 * i - 1], out[2 * i] = id, redis.call('HGET', '{min}:job:' .. id, 'args')
		end
		return out`)
	redisKeep = redis.NewScript(`
		for i = 2, #ARGV do
			if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
				redis.call('HSET', '{min}:job:' .. ARGV[i], 'attempt', 1, 'outcome', 1, 'finished', ARGV[1])
				redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i])
			end
		end`)
	redisDrop = redis.NewScript(`
		for i = 2, #ARGV do
			if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then redis.call('DEL', '{min}:job:' .. ARGV[i]) end
		end`)
)

const (
	redisReady  = "{min}:ready"
	redisLeases = "{min}:leases"
	redisDone   = "{min}:done"
)

func openMinimumRedis(keeps bool) func(context.Context, drill.Order) (Session, error) {
	return func(_ context.Context, o drill.Order) (Session, error) {
		options, err := redis.ParseURL(o.Address)
		if err != nil {
			return nil, err
		}
		return &minimumRedis{client: redis.NewClient(options), keeps: keeps}, nil
	}
}

func (s *minimumRedis) Enqueue(ctx context.Context, number int) error {
	return s.EnqueueBulk(ctx, number, 1)
}

func (s *minimumRedis) EnqueueBulk(ctx context.Context, first, n int) error {
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		ids := make([]any, n)
		for i := range ids {
			id := strconv.Itoa(first + i)
			ids[i] = id
			p.HSet(ctx, "{min}:job:"+id, "kind", "bench", "queue", "default", "priority", 0, "args", encode(first+i))
		}
		p.RPush(ctx, redisReady, ids...)
		return nil
	})
	return err
}

func (s *minimumRedis) Work(ctx context.Context, run func(int)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	acknowledge, keys := redisDrop, []string{redisLeases}
	if s.keeps {
		acknowledge, keys = redisKeep, []string{redisLeases, redisDone}
	}
	return workers(cancel, 2, func() error {
		for ctx.Err() == nil {
			ctx := context.WithoutCancel(ctx)
			out, err := redisClaim.Run(ctx, s.client, []string{redisReady, redisLeases}, time.Now().Add(time.Minute).UnixMilli()).StringSlice()
			if err != nil {
				return err
			}
			if len(out) == 0 {
				rest(ctx)
				continue
			}
			args := []any{time.Now().UnixMilli()}
			for i := 0; i < len(out); i += 2 {
				if err := decode([]byte(out[i+1]), run); err != nil {
					return err
				}
				args = append(args, out[i])
			}
			if err := acknowledge.Run(ctx, s.client, keys, args...).Err(); err != nil && err != redis.Nil {
				return err
			}
		}
		return nil
	}), nil
}

func (s *minimumRedis) Left(ctx context.Context) (int, error) {
	n, err := s.client.ZCard(ctx, redisLeases).Result()
	return int(n), err
}

func (s *minimumRedis) Check(ctx context.Context) (waiting, kept int, err error) {
	ready, err := s.client.LLen(ctx, redisReady).Result()
	if err != nil {
		return 0, 0, err
	}
	leased, err := s.Left(ctx)
	if err != nil {
		return 0, 0, err
	}
	done, err := s.client.ZCard(ctx, redisDone).Result()
	return int(ready) + leased, int(done), err
}

func (s *minimumRedis) Close() error { return s.client.Close() }
