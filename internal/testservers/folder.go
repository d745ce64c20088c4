package testservers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// prefix of the folders' names, in the folder for temporary files.
const prefix = "bellhop-test-"

// folder is where a server has its data, its socket and its log. The owner holds a lock on the file "owner" in it.
type folder struct {
	path  string
	owner *os.File
	user  *user // as whom the server runs; nil for the user of this process
}

// newFolder makes a folder for a server, and removes those whose owners were killed.
func newFolder(store, name string) (*folder, error) {
	sweep(os.TempDir())
	path, err := os.MkdirTemp("", prefix+store+"-")
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if f.owner, err = os.Create(filepath.Join(path, "owner")); err != nil {
		return nil, err
	}
	if !lock(f.owner) {
		return nil, fmt.Errorf("testservers: %s cannot be locked", f.owner.Name())
	}
	if f.user, err = serverUser(name); err != nil {
		return nil, err
	}
	return f, f.give(path)
}

// sweep removes folders that nobody owns any more. It is a courtesy: what cannot be removed stays.
func sweep(temp string) {
	list, _ := filepath.Glob(filepath.Join(temp, prefix+"*", "owner"))
	for _, name := range list {
		info, err := os.Stat(name)
		if err != nil || time.Since(info.ModTime()) < time.Minute { // one that is just being made is not locked yet
			continue
		}
		owner, err := os.Open(name)
		if err != nil {
			continue
		}
		if lock(owner) {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = owner.Close()
	}
}

func (f *folder) log() string { return filepath.Join(f.path, "log") }

func (f *folder) remove() error { return errors.Join(os.RemoveAll(f.path), f.owner.Close()) }
