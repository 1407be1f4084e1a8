package test

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end the process when the test is killed or
// panics, where no cleanup runs.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
