//go:build !linux

package pgtest

import (
	"errors"
	"os"
	"os/exec"
)

// account is who runs the server: who runs the tests.
type account struct{}

func unprivileged() (account, error) {
	if os.Geteuid() == 0 {
		return account{}, errors.New("PostgreSQL does not run as root: run the tests as another user")
	}
	return account{}, nil
}

func (account) own(string) error { return nil }

func (account) run(*exec.Cmd) {}

// launch starts cmd and waits for its end.
func launch(cmd *exec.Cmd, started chan<- error, ended chan<- struct{}) {
	defer close(ended)
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
	}
}
