package connections

import "fmt"

// minDescriptors is a limit of open files that several hundred idle clients cannot use up. A client
// takes one file, a proxied request another one.
const minDescriptors = 1024

// lowLimitHint says what to change about a low limit of open files.
const lowLimitHint = "raise it (systemd: LimitNOFILE, a shell: ulimit -n), and close idle connections early " +
	"(global option `servers { timeouts { read_header 10s; idle 30s } }`), " +
	"and limit how many connections clients may hold " +
	"(`servers { listener_wrappers { auth_connections; tls } }`)"

// LowLimit says that clients can use up the open files of this process, which then answers nobody
// else and cannot connect to the database, and what to change. Both texts are empty if the limit
// suffices or is not known. reserved is how many files the store needs.
func LowLimit(reserved int) (text, hint string) {
	if text = lowLimitText(descriptorLimit(), reserved); text != "" {
		hint = lowLimitHint
	}
	return text, hint
}

func lowLimitText(limit uint64, reserved int) string {
	if limit == 0 || limit >= minDescriptors+uint64(reserved) {
		return ""
	}
	return fmt.Sprintf("this process may have %d files open:"+
		" idle clients can use them up, and then nobody else is answered", limit)
}
