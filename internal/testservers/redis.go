package testservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/internal/freeport"
)

// confRedis has Redis keep what it is told, synced to the disk each second, and no snapshots beside.
const confRedis = `bind 127.0.0.1
port %d
dir %s
appendonly yes
appendfsync everysec
save ""
`

func prepareRedis(s *Instance) error {
	return s.write("redis.conf", fmt.Sprintf(confRedis, s.port.Number, s.folder.path)+strings.Join(s.conf, "\n")+"\n")
}

func argsRedis(s *Instance) []string { return []string{filepath.Join(s.folder.path, "redis.conf")} }

func addressRedis(s *Instance) string {
	u := url.URL{Scheme: "redis", Host: s.port.Addr(), Path: "/0"}
	for _, line := range s.conf {
		if secret, ok := strings.CutPrefix(line, "requirepass "); ok {
			u.User = url.UserPassword("", secret)
		}
	}
	return u.String()
}

func pingRedis(ctx context.Context, address string) error {
	_, err := redisDo(ctx, address, "PING")
	return err
}

// redisDo sends one command, words with blanks between, and returns the answer: a line or a text.
func redisDo(ctx context.Context, address, command string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	answers := bufio.NewReader(conn)
	ask := func(command string) (string, error) {
		if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
			return "", err
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch rest := strings.TrimSpace(line[1:]); line[0] {
		case '-':
			return "", errors.New(rest)
		case '$': // as many bytes follow, with the end of a line
			n, err := strconv.Atoi(rest)
			if err != nil || n < 0 {
				return "", err
			}
			text := make([]byte, n+2)
			_, err = io.ReadFull(answers, text)
			return string(text), err
		}
		return line, nil
	}
	if secret, ok := u.User.Password(); ok {
		if _, err := ask("AUTH " + secret); err != nil {
			return "", err
		}
	}
	return ask(command)
}

// clusterVariable names a running cluster in the environment.
const clusterVariable = "BELLHOP_TEST_REDIS_CLUSTER"

// masters of a cluster, between which its 16384 slots are divided.
const (
	masters = 3
	slots   = 16384
)

// launchCluster starts a Redis Cluster of three masters without replicas. Each conf
// is a line of the configuration file of all.
func launchCluster(conf ...string) (nodes []*Instance, err error) {
	defer func() {
		if err != nil {
			for _, node := range nodes {
				err = errors.Join(err, node.Close())
			}
			nodes = nil
		}
	}()
	meet := ""
	for n := range masters {
		bus, err := freeport.Reserve()
		if err != nil {
			return nodes, err
		}
		defer bus.Release() // when all are up: nodes are not started again
		node, err := Launch(NameRedis, append([]string{"cluster-enabled yes", fmt.Sprintf("cluster-port %d", bus.Number), "cluster-node-timeout 5000"}, conf...)...)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, node)
		commands := []string{
			fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", n*slots/masters, (n+1)*slots/masters-1),
			fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", n+1),
		}
		if n == 0 {
			meet = fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d %d", node.port.Number, bus.Number)
		} else {
			commands = append(commands, meet)
		}
		for _, command := range commands {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			_, err := redisDo(ctx, node.Address, command)
			cancel()
			if err != nil {
				return nodes, fmt.Errorf("testservers: Redis Cluster: %s: %w", command, err)
			}
		}
	}
	return nodes, waitCluster(nodes)
}

// waitCluster waits until every node knows who has each slot. One slot that it knows shows nothing where nodes serve what
// they can ("cluster-require-full-coverage no").
func waitCluster(nodes []*Instance) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	whole := []string{"cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_known_nodes:%d", masters)}
	for _, node := range nodes {
		for {
			info, err := redisDo(ctx, node.Address, "CLUSTER INFO")
			lines := strings.Fields(info)
			if err == nil && !slices.ContainsFunc(whole, func(line string) bool { return !slices.Contains(lines, line) }) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("testservers: the Redis Cluster is not whole within %v (%v): %.300q", within, err, info)
			case <-time.After(10 * time.Millisecond): // polled: a cluster tells nobody when it is whole
			}
		}
	}
	return nil
}

// clusterAddress is that of a cluster by all its nodes.
func clusterAddress(nodes []*Instance) string {
	hosts := make([]string, len(nodes))
	for i, node := range nodes {
		hosts[i] = node.port.Addr()
	}
	return "redis+cluster://" + strings.Join(hosts, ",")
}
