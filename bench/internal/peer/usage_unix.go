//go:build unix

package peer

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// cpuTime is the processor time of this process, in microseconds.
func cpuTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec)*1e6 + float64(u.Utime.Usec+u.Stime.Usec)
}

// peakMemory is the most memory that this process held at once, in bytes; 0 where the system does not say. (Rusage would count
// what the parent held when it started us.)
func peakMemory() int64 { return number("/proc/self/status", "VmHWM:") * 1024 }

// written is how many bytes this process has handed to the system for writing.
func written() int64 { return number("/proc/self/io", "wchar:") }

// number reads the number behind a word in a file of /proc.
func number(file, word string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == word {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}
