//go:build !unix

package testservers

import (
	"errors"
	"os"
	"os/exec"
)

// errPlatform tells that servers are started on Unix only; elsewhere tests join those that the environment names.
var errPlatform = errors.New("testservers: servers are started on Unix only: name running ones in the environment, see Variables")

type user struct{}

func serverUser(string) (*user, error) { return nil, errPlatform }

func (f *folder) give(string) error { return errPlatform }

func (f *folder) own(*exec.Cmd) {}

func detach(*exec.Cmd) {}

func lock(*os.File) bool { return false }

func pause(int) error { return errPlatform }

func resume(int) {}

func strike(int) bool { return false }
