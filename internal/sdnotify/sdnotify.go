// Package sdnotify tells systemd how a service is: the protocol of sd_notify(3) and sd_watchdog_enabled(3), a datagram of a few words to a
// socket that the environment names. Without systemd it does nothing. No job passes through it.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier tells one service manager. The zero value tells nobody.
type Notifier struct {
	address  string
	watchdog time.Duration // within which a sign of life is awaited; 0 for none
}

// New reads the environment: NOTIFY_SOCKET, WATCHDOG_USEC, and WATCHDOG_PID, which may name another process.
func New(env func(string) string, pid int) (*Notifier, error) {
	n := &Notifier{address: env("NOTIFY_SOCKET")}
	if n.address == "" {
		return n, nil
	}
	if n.address[0] != '/' && n.address[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: want a path, or a name that begins with @", n.address)
	}
	if of := env("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return n, nil
	}
	if text := env("WATCHDOG_USEC"); text != "" {
		usec, err := strconv.ParseInt(text, 10, 64)
		if err != nil || usec <= 0 {
			return nil, fmt.Errorf("WATCHDOG_USEC is %q: want a number of microseconds", text)
		}
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n, nil
}

// Tell sends assignments such as "READY=1". It reports failures; a service goes on without its manager's ear.
func (n *Notifier) Tell(assignments ...string) error {
	if n.address == "" {
		return nil
	}
	name := n.address
	if name[0] == '@' { // an abstract socket, whose name begins with a zero byte
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}

// Watch sends a sign of life twice in the time that the manager allows, as long as alive returns nil, until ctx ends. It returns at once
// if the manager awaits none.
func (n *Notifier) Watch(ctx context.Context, alive func() error) {
	if n.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(n.watchdog / 2)
	defer ticker.Stop()
	for {
		if alive() == nil {
			_ = n.Tell("WATCHDOG=1") // if it does not come through, the manager acts as it should
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
