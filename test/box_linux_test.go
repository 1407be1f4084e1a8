package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// box is this machine once more, with its own network and all of its files: what is written there
// goes to memory, and is gone with the box. So packages can be installed in it.
type box struct {
	t      *testing.T
	holder *exec.Cmd // it keeps the namespaces
}

// boxScript makes the files of a box below $1, with $2 as /tmp/given, and waits there. What was
// written is to be seen below /mnt.
const boxScript = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount --bind "$1/upper" "$1/root/mnt"
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
mkdir "$1/root/tmp/given"
mount --bind "$2" "$1/root/tmp/given"
ip link set lo up
exec chroot "$1/root" sh -c 'echo ready; exec sleep infinity'`

// newBox makes a box that has the files of the folder given, or skips the test where it cannot.
func newBox(t *testing.T, given string) *box {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("to install a package in a copy of this machine takes root")
	}
	for _, tool := range []string{"ip", "nsenter", "setpriv"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here (iproute2, util-linux)", tool)
		}
	}
	b := &box{t: t, holder: exec.Command("sh", "-c", boxScript, "sh", t.TempDir(), given)}
	b.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	var complaint bytes.Buffer
	b.holder.Stderr = &complaint
	out, err := b.holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.holder.Start(); err != nil {
		t.Skipf("no namespaces of files and networks here: %v", err)
	}
	t.Cleanup(func() {
		_ = b.holder.Process.Kill() // it may have ended by itself
		_ = b.holder.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		_ = b.holder.Wait()
		t.Skipf("no copy of this machine's files can be made here: %s", &complaint)
	}
	return b
}

// enter is the beginning of a command that is to run in a directory of the box.
func (b *box) enter(dir string) []string {
	return []string{"nsenter", fmt.Sprintf("--target=%d", b.holder.Process.Pid), "--mount", "--net", "--root", "--", "env", "--chdir=" + dir}
}

// try runs a command of the shell in the box.
func (b *box) try(command string) (out string, err error) {
	enter := b.enter("/")
	cmd := exec.Command(enter[0], append(enter[1:], "sh", "-c", command)...)
	cmd.Env = append(withoutOurs(os.Environ()), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	said, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(said)), err
}

// do is try for a command that has to succeed.
func (b *box) do(command string) string {
	b.t.Helper()
	out, err := b.try(command)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// has says whether there are such files in the box.
func (b *box) has(pattern string) bool {
	_, err := b.try("ls -d " + pattern)
	return err == nil
}

// unit is what a node is started by, as far as it concerns the process.
type unit struct{ exec, user, environment, state string }

// unit reads a unit's file.
func (b *box) unit(name string) (u unit) {
	b.t.Helper()
	for line := range strings.Lines(b.do("cat " + name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ExecStart":
			u.exec = value
		case "User":
			u.user = value
		case "EnvironmentFile":
			u.environment = strings.TrimPrefix(value, "-")
		case "StateDirectory":
			u.state = filepath.Join("/var/lib", value)
		}
	}
	if u.exec == "" || u.user == "" || u.environment == "" || u.state == "" {
		b.t.Fatalf("%s does not say all that is needed: %+v", name, u)
	}
	return u
}

// start starts what a unit says as its user, with its settings and in its directory.
func (b *box) start(u unit) *process {
	b.t.Helper()
	b.do(fmt.Sprintf("install -d -o %s -g %s -m 750 %s", u.user, u.user, u.state))
	var env []string
	for line := range strings.Lines(b.do("cat " + u.environment)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			env = append(env, line)
		}
	}
	under := append(b.enter(u.state), "setpriv", "--reuid="+u.user, "--regid="+u.user, "--init-groups", "--no-new-privs", "--pdeathsig=KILL")
	p, err := launchCommand(append(under, strings.Fields(u.exec)...), "", env)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.kill)
	return p
}

// stop stops a process as systemd does, and fails unless it ends well.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	status, err := p.wait()
	if err == nil && status != 0 {
		err = errors.New("it ended with status " + fmt.Sprint(status) + "\n" + p.err.String())
	}
	return err
}
