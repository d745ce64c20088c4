// Package examples holds complete programs, each in a folder of its own. The
// tests build and run them.
package examples
