// Command bellhop runs a web application's background jobs: see package cli, and bellhop --help.
package main

import (
	"context"
	"os"

	"github.com/gobellhop/bellhop/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
