//go:build unix

package main

import (
	"os"
	"testing"
	"time"
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

// quick makes recoveries of frozen processes short enough for a test.
func quick(t *testing.T, kills, freezes int) settings {
	return settings{
		kills: kills, workers: 3, gap: 500 * time.Millisecond, freezes: freezes, folder: t.TempDir(), out: testOut{t},
		times: times{Beat: 300 * time.Millisecond, Lease: 2 * time.Second, Sweep: 300 * time.Millisecond},
	}
}

func TestStorm(t *testing.T) {
	if err := storm(t.Context(), quick(t, 5, 0)); err != nil {
		t.Error(err)
	}
}

func TestFreeze(t *testing.T) {
	if err := storm(t.Context(), quick(t, 3, 2)); err != nil {
		t.Error(err)
	}
}

func TestPoison(t *testing.T) {
	if err := poisoned(t.Context(), quick(t, 0, 0)); err != nil {
		t.Error(err)
	}
}
