package testservers

import (
	"errors"
	"os"
	"sync"
)

// pool holds the servers that tests share.
var pool Pool

// Pool is a set of servers, each started at its first use. The zero value is an empty one.
type Pool struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is a server, or why there is none.
type entry struct {
	once      sync.Once
	address   string
	err       error
	instances []*Instance
}

// address returns the address of a server: the one that the environment names, else one that is started now.
func (p *Pool) address(name string) (string, error) {
	if address := os.Getenv(Variables()[name]); address != "" {
		return address, nil
	}
	return p.Start(name)
}

// Start starts a server, unless it was started before, and returns its address. The name is one of [Variables].
func (p *Pool) Start(name string) (string, error) {
	p.mu.Lock()
	e := p.entries[name]
	if e == nil {
		e = new(entry)
		if p.entries == nil {
			p.entries = map[string]*entry{}
		}
		p.entries[name] = e
	}
	p.mu.Unlock()
	e.once.Do(func() {
		if name == NameRedisCluster {
			e.instances, e.err = launchCluster()
			e.address = clusterAddress(e.instances)
			return
		}
		s, err := Launch(name, engines[name].shared...)
		if e.err = err; err == nil {
			e.instances, e.address = []*Instance{s}, s.Address
		}
	})
	return e.address, e.err
}

// Close kills the servers and removes their folders. No Start may be under way.
func (p *Pool) Close() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		for _, s := range e.instances {
			err = errors.Join(err, s.Close())
		}
	}
	p.entries = nil
	return err
}
