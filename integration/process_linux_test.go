package integration

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launch starts cmd and waits for its end. The process is killed when this one dies without
// cleaning up: the signal comes when the thread dies that started it, so that one is kept.
func launch(cmd *exec.Cmd, started chan<- error, ended chan<- struct{}) {
	runtime.LockOSThread()
	defer close(ended)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // how it ended is the business of whoever ended it
	}
}
