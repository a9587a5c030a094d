package auth

import (
	"fmt"

	"go.uber.org/zap"
)

// fewDescriptors is a limit of open files which some hundred idle clients use up. A client takes one, a request that is passed on another.
const fewDescriptors = 1024

// warnDescriptors warns of a limit that clients can use up: then nobody else is answered, and no connection to the database is made.
func (a *App) warnDescriptors() {
	if text := descriptorWarning(descriptorLimit(), a.store.Connections()); text != "" {
		a.logger.Warn(text, zap.String("hint", "raise it (systemd: LimitNOFILE, a shell: ulimit -n), and close idle connections early "+
			"(global option `servers { timeouts { read_header 10s; idle 30s } }`), and limit how many connections clients may hold "+
			"(`servers { listener_wrappers { auth_connections; tls } }`)"))
	}
}

// descriptorWarning is empty for a limit that suffices and for one that is not known, which is 0.
func descriptorWarning(limit uint64, connections int) string {
	if limit == 0 || limit >= fewDescriptors+uint64(connections) {
		return ""
	}
	return fmt.Sprintf("this process may have %d files open: idle clients can use them up, and then nobody else is answered", limit)
}
