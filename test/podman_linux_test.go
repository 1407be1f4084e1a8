package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"httpdhs/internal/poll"
)

// podman runs containers, on a machine of its own as far as they can see: it has other networks,
// other processes, and its images and containers are in memory. All is gone with the holder, also
// when the test is killed.
type podman struct {
	holder  *exec.Cmd // it keeps the namespaces
	storage string    // a folder, mounted there alone
	sources string    // the folder of the sources, which is there too
}

// testImage is what the image under test is called.
const testImage = "httpdhs-test"

// podmanScript makes what podman needs where its storage is to be, and waits there as the first of
// the processes: it takes note of those that end.
const podmanScript = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/tmp"
ip link set lo up
sleep infinity &
echo ready
wait`

// startPodman makes a machine for podman, or says why it cannot be made here.
func startPodman(t *testing.T) (*podman, error) {
	t.Helper()
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("containers on a network of their own take root")
	}
	for _, tool := range []string{"podman", "runc", "ip", "nsenter", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("there is no %s here (podman, runc, iproute2, util-linux, iptables)", tool)
		}
	}
	sources, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	p := &podman{storage: t.TempDir(), sources: sources}
	p.holder = exec.Command("sh", "-c", podmanScript, "sh", p.storage)
	p.holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	var complaint bytes.Buffer
	p.holder.Stderr = &complaint
	out, err := p.holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.holder.Start(); err != nil {
		return nil, fmt.Errorf("no namespaces here: %w", err)
	}
	t.Cleanup(func() {
		_ = p.holder.Process.Kill() // it may have ended by itself
		_ = p.holder.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		_ = p.holder.Wait()
		return nil, fmt.Errorf("podman cannot have a machine of its own here: %s", &complaint)
	}
	if backend, err := p.try("info", "--format={{.Host.NetworkBackend}}"); err != nil || backend != "netavark" {
		return nil, fmt.Errorf("podman does not work here (netavark): %q, %w", backend, err)
	}
	return p, nil
}

// enter is the beginning of a command that is to run on podman's machine, in the folder of the
// sources.
func (p *podman) enter() []string {
	return []string{"nsenter", fmt.Sprintf("--target=%d", p.holder.Process.Pid), "--mount", "--net", "--pid", "--",
		"env", "--chdir=" + p.sources, "TMPDIR=" + p.storage + "/tmp"}
}

// command is the beginning of a command of podman.
func (p *podman) command() []string {
	return append(p.enter(), "podman", "--root="+p.storage+"/root", "--runroot="+p.storage+"/run", "--tmpdir="+p.storage+"/state",
		"--network-config-dir="+p.storage+"/networks", "--storage-driver=overlay", "--runtime=runc", "--cgroup-manager=cgroupfs")
}

// output runs a command, and returns what it wrote to stdout.
func output(command []string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	var said bytes.Buffer // podman complains of a machine without systemd
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, &said)
	}
	return strings.TrimSpace(string(out)), err
}

// try runs a command of podman.
func (p *podman) try(args ...string) (string, error) {
	return output(slices.Concat(p.command(), args))
}

// do is try for a command that has to succeed.
func (p *podman) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.try(args...)
	if err != nil {
		t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// awaitHealthy waits until a container is found healthy. The image gives each look a few seconds,
// which may be too short where all cores are busy.
func (p *podman) awaitHealthy(t *testing.T, name string) {
	t.Helper()
	poll.Until(t, name+" is healthy", func() error {
		_, err := p.try("healthcheck", "run", name)
		return err
	})
}

// clear removes all containers, with their cgroups, which the holder does not take with it.
func (p *podman) clear(t *testing.T) {
	if _, err := p.try("rm", "--force", "--all", "--time=0", "--volumes"); err != nil {
		t.Error(err)
	}
}

// containers is a machine of podman's own that has the image under test. Where there can be none
// the test is skipped.
func containers(t *testing.T) *podman {
	t.Helper()
	p, err := startPodman(t)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { p.clear(t) })
	if err := makeShipped("image", "IMAGE="+testImage, "CONTAINERS="+strings.Join(p.command(), " ")); err != nil {
		t.Fatal(err)
	}
	return p
}
