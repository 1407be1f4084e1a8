package disk

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const lockName = "lock"

// sign has the lock file tell who has it, for messages alone. A full disk keeps nobody from that
// lock.
func sign(f *os.File) {
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

// inUse is an ErrInUse that tells who has the lock, if that can be. A process that was killed has
// left its number. One that only reads the directory has left none.
func inUse(f *os.File) error {
	var buf [24]byte
	n, _ := f.ReadAt(buf[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid == os.Getpid() || !runs(pid) {
		return fmt.Errorf("%w by another process", ErrInUse)
	}
	return fmt.Errorf("%w by process %d", ErrInUse, pid)
}

// runs says whether there is a process of that number.
func runs(pid int) bool {
	if pid <= 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
