package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// tick is the unit of processor times in /proc, in microseconds: Linux shows 100 ticks a second to all programs.
const tick = 1e6 / 100

// familyCPU is the processor time of a process and its children, running or ended, in microseconds. Without /proc it is 0.
func familyCPU(pid int) float64 {
	own, ended := processTimes(pid)
	total := own + ended
	for _, child := range children(pid) {
		total += familyCPU(child)
	}
	return total
}

// processTimes returns the processor time of a process itself and of its ended children.
func processTimes(pid int) (own, ended float64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The second field is the name in parentheses, which may hold anything; numbers follow.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, 0
	}
	at := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i], 64); return n * tick }
	return at(11) + at(12), at(13) + at(14)
}

// parent returns the process that started another.
func parent(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}

func children(pid int) []int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(data)) {
		if n, err := strconv.Atoi(field); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
