//go:build unix

package connections

import "syscall"

// descriptorLimit is how many files this process may have open, 0 if it is not known. Go has raised
// it to the hard limit.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(max(limit.Cur, 0)) //nolint:unconvert // a signed number on some systems
}
