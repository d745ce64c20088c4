package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Machine describes where the benchmark runs, a line each: processor, system, and how long the disk takes for an fsync.
func Machine(folder string) []string {
	lines := []string{
		fmt.Sprintf("%d × %s, %s", runtime.NumCPU(), or(field("/proc/cpuinfo", "model name"), "processor "+runtime.GOARCH), or(memoryTotal(), "memory unknown")),
		fmt.Sprintf("%s %s, %s", runtime.GOOS, or(firstWord("/proc/sys/kernel/osrelease"), runtime.GOARCH), runtime.Version()),
	}
	if took, err := fsyncTime(folder); err == nil {
		lines = append(lines, fmt.Sprintf("fsync of 8 KiB takes %d µs (median of 100)", took.Microseconds()))
	}
	return append(lines, time.Now().UTC().Format("2006-01-02 15:04 UTC"))
}

// fsyncTime writes and syncs pages as a log would.
func fsyncTime(folder string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(folder, "fsync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the folder goes too
	defer f.Close()           //nolint:errcheck // nobody reads it
	page, took := make([]byte, 8<<10), make([]time.Duration, 100)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// field returns what stands behind a name and a colon in a file.
func field(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func memoryTotal() string {
	var kilobytes int
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d", &kilobytes); err != nil {
		return ""
	}
	return fmt.Sprintf("%d GiB", (kilobytes+1<<19)>>20)
}

func firstWord(file string) string {
	data, _ := os.ReadFile(file)
	return strings.TrimSpace(string(data))
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
