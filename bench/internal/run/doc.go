// Package run carries out the benchmark: it decides who runs what, takes the contenders in turn, and gives each run an empty
// database, a process of its own and the same checks.
//
// In each run jobs pass from the contender's client into the store and through its worker, exactly as its users have it; a run
// counts only if each job ran once and the store knows it.
package run
