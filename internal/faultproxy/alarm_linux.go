package faultproxy

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm sleeps to within some 50 µs. Go's own timers are rounded to milliseconds when a program is idle, which would be as much as
// the round trips that are to be imitated.
type alarm struct {
	fd   int
	file *os.File // of fd
}

func newAlarm() *alarm { return &alarm{} }

func (a *alarm) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	if a.file == nil {
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
		if err != nil {
			time.Sleep(d) // the delay itself, on a kernel that has no such timers to give
			return
		}
		a.fd, a.file = fd, os.NewFile(uintptr(fd), "timerfd")
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	if err := unix.TimerfdSettime(a.fd, 0, &at, nil); err != nil {
		time.Sleep(d) // the delay itself
		return
	}
	var rings [8]byte
	_, _ = a.file.Read(rings[:]) // returns when the time has come
}

func (a *alarm) close() {
	if a.file != nil {
		_ = a.file.Close() // nothing is lost with it
	}
}
