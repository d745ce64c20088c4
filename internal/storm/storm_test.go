//go:build unix

package main

import (
	"os"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// TestMain makes the test's binary a worker process when the storm starts it as one.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(workerMain(role))
	}
	os.Exit(m.Run())
}

// testOut prints to the test's log.
type testOut struct{ t *testing.T }

func (o testOut) Write(p []byte) (int, error) {
	o.t.Logf("%s", p)
	return len(p), nil
}

// quick makes recoveries of frozen processes short enough for a test. The lease is so long that a process keeps it on a machine that is
// busy, or whose disk stands still for some seconds: the judge takes the loss of a lease for a fault. Storms mostly wait, beside each other.
func quick(t *testing.T, kills, freezes int) settings {
	return settings{
		kills: kills, workers: 3, gap: 500 * time.Millisecond, freezes: freezes, folder: t.TempDir(), out: testOut{t},
		times: times{Beat: 300 * time.Millisecond, Lease: 8 * time.Second, Sweep: 300 * time.Millisecond},
	}
}

func TestStorm(t *testing.T) {
	t.Parallel()
	if err := storm(t.Context(), quick(t, 5, 0)); err != nil {
		t.Error(err)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	if err := storm(t.Context(), quick(t, 3, 2)); err != nil {
		t.Error(err)
	}
}

// On a database server the same holds, while workers are killed and the server with them.
func TestServers(t *testing.T) {
	for _, server := range []string{testservers.NamePostgres, testservers.NameMariaDB, testservers.NameRedis} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			if !testservers.Selected(server) {
				t.Skip("the store is not selected")
			}
			s := quick(t, 4, 0)
			s.server, s.outages, s.away = server, 2, 2*time.Second
			if testing.Short() {
				s.kills, s.outages = 2, 1
			}
			if err := storm(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPoison(t *testing.T) {
	t.Parallel()
	if err := poisoned(t.Context(), quick(t, 0, 0)); err != nil {
		t.Error(err)
	}
}
