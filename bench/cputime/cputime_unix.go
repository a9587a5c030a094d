//go:build unix

package token

import (
	"syscall"
	"time"
)

// cpuTime is the processor time of this process. On a machine that others use, too, it moves less
// than the clock.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
