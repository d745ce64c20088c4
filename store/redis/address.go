package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/setting"
)

// settings are what addresses and options say.
type settings struct {
	scheme       string
	options      redis.UniversalOptions
	namespace    string
	keepFinished int
	timeout      time.Duration
	evicting     bool // a server that may evict our keys is accepted
	tls          bool
	ahead        *atomic.Int64 // of the store's clock before the server's, in microseconds; nil but in tests
}

func defaults() *settings {
	return &settings{namespace: "default", keepFinished: 100_000, timeout: 10 * time.Second}
}

// schemes of addresses.
var schemes = []string{"redis", "rediss", "redis+sentinel", "redis+cluster"}

// parameters are what may stand behind the question mark of an address.
var parameters = map[string]func(s *settings, value string) error{
	"namespace": func(s *settings, v string) error {
		s.namespace = v
		return checkNamespace(v)
	},
	"keep_finished": func(s *settings, v string) error { return setting.Number(v, 0, 1_000_000_000, &s.keepFinished) },
	"timeout": func(s *settings, v string) (err error) {
		s.timeout, err = time.ParseDuration(v)
		return checkTimeout(s.timeout, err)
	},
	"pool": func(s *settings, v string) error { return setting.Number(v, 1, 10_000, &s.options.PoolSize) },
	"eviction": func(s *settings, v string) error {
		s.evicting = v == "allow"
		return setting.Among(v, "refuse", "allow")
	},
	"tls": func(s *settings, v string) error {
		s.tls = s.tls || v == "on"
		return setting.Among(v, "on", "off")
	},
	"master": func(s *settings, v string) error {
		s.options.MasterName = v
		return nil
	},
	"sentinel_user": func(s *settings, v string) error {
		s.options.SentinelUsername = v
		return nil
	},
	"sentinel_password": func(s *settings, v string) error {
		s.options.SentinelPassword = v
		return nil
	},
	// The one layout that there is needs no migration.
	"migrate": func(_ *settings, v string) error { return setting.Among(v, "auto", "off", "only") },
}

func checkNamespace(name string) error {
	if err := bellhop.CheckName("namespace", name); err != nil {
		return err
	}
	return nil
}

func checkTimeout(d time.Duration, err error) error {
	if err != nil || d < 100*time.Millisecond || d > time.Hour {
		return errors.New("want a duration from 100ms to 1h")
	}
	return nil
}

// parse reads an address. It is taken apart by hand because package url knows
// one host only.
func parse(address string) (*settings, error) {
	s := defaults()
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || !slices.Contains(schemes, scheme) {
		return nil, errors.New(`want an address like "redis://localhost:6379/0?namespace=shop"`)
	}
	s.scheme, s.tls = scheme, scheme == "rediss"
	rest, query, _ := strings.Cut(rest, "?")
	if err := s.parameters(query); err != nil {
		return nil, err
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		if err := s.login(rest[:i]); err != nil {
			return nil, err
		}
		rest = rest[i+1:]
	}
	hosts, db, _ := strings.Cut(rest, "/")
	if db != "" {
		if err := setting.Number(db, 0, 1_000_000, &s.options.DB); err != nil {
			return nil, fmt.Errorf("the database %.32q behind the slash: %w", db, err)
		}
	}
	if err := s.hosts(hosts); err != nil {
		return nil, err
	}
	return s, s.fits()
}

func (s *settings) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("the parameters cannot be read: %w", err)
	}
	for name, list := range values {
		set := parameters[name]
		if set == nil {
			return fmt.Errorf("the parameter %.64q is unknown: there are eviction, keep_finished, master, migrate, namespace, pool, sentinel_password, sentinel_user, timeout and tls", name)
		}
		if err := set(s, list[len(list)-1]); err != nil {
			if strings.Contains(name, "password") {
				return fmt.Errorf("the parameter %s: %w", name, err)
			}
			return fmt.Errorf("the parameter %s=%.64s: %w", name, list[len(list)-1], err)
		}
	}
	return nil
}

func (s *settings) login(text string) (err error) {
	user, password, _ := strings.Cut(text, ":")
	if s.options.Username, err = url.PathUnescape(user); err == nil {
		s.options.Password, err = url.PathUnescape(password)
	}
	if err != nil {
		return errors.New("user or password have a broken escape: write % as %25")
	}
	return nil
}

func (s *settings) hosts(text string) error {
	port := "6379"
	if s.scheme == "redis+sentinel" {
		port = "26379"
	}
	for host := range strings.SplitSeq(text, ",") {
		name, p, err := net.SplitHostPort(host)
		if err != nil {
			name, p = strings.Trim(host, "[]"), port
		}
		if name == "" {
			return errors.New(`there is no host: write it like "redis://localhost:6379"`)
		}
		var n int
		if err := setting.Number(p, 1, 65535, &n); err != nil {
			return fmt.Errorf("the port of %.128q: %w", host, err)
		}
		s.options.Addrs = append(s.options.Addrs, net.JoinHostPort(name, p))
	}
	return nil
}

// fits finds what does not belong together.
func (s *settings) fits() error {
	switch {
	case s.scheme == "redis+sentinel" && s.options.MasterName == "":
		return errors.New("the name of the master is missing: add ?master=NAME")
	case s.scheme != "redis+sentinel" && s.options.MasterName+s.options.SentinelUsername+s.options.SentinelPassword != "":
		return errors.New("master and sentinel_… belong to addresses that begin with redis+sentinel://")
	case s.scheme == "redis+cluster" && s.options.DB != 0:
		return errors.New("a cluster has no databases but 0: leave the number out, and choose a namespace")
	case !strings.HasPrefix(s.scheme, "redis+") && len(s.options.Addrs) > 1:
		return errors.New("there are several hosts: use redis+cluster:// or redis+sentinel://")
	}
	return nil
}

// connect makes the client. Commands are not repeated by the client, because
// only the verbs know what may be; and a call ends at its deadline.
func (s *settings) connect() redis.UniversalClient {
	o := &s.options
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.ReadTimeout, o.WriteTimeout = s.timeout, s.timeout
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if s.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch s.scheme {
	case "redis+sentinel":
		return redis.NewFailoverClient(o.Failover())
	case "redis+cluster":
		return redis.NewClusterClient(o.Cluster())
	}
	return redis.NewClient(o.Simple())
}
