//go:build !linux

package integration

import "os/exec"

// launch starts cmd and waits for its end.
func launch(cmd *exec.Cmd, started chan<- error, ended chan<- struct{}) {
	defer close(ended)
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // how it ended is the business of whoever ended it
	}
}
