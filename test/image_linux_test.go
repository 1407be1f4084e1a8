package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"httpdhs/internal/poll"
	"httpdhs/internal/testbinary"
)

// podman is how containers are run: with images, containers and volumes in folders of the test.
type podman struct {
	t      *testing.T
	global []string
}

func newPodman(t *testing.T) *podman {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("containers with storage of their own take root")
	}
	for _, tool := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	dir := t.TempDir()
	return &podman{t: t, global: []string{"podman", "--root=" + dir + "/root", "--runroot=" + dir + "/run", "--storage-driver=vfs",
		"--runtime=runc", "--cgroup-manager=cgroupfs"}}
}

func (p *podman) try(args ...string) (string, error) {
	all := slices.Concat(p.global, args)
	cmd := exec.Command(all[0], all[1:]...)
	var said bytes.Buffer // podman complains of a machine without systemd
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, &said)
	}
	return strings.TrimSpace(string(out)), err
}

func (p *podman) do(args ...string) string {
	p.t.Helper()
	out, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// The image names its version, holds nothing but the binary and a directory, and is not run as
// root. A node in it works with a file system that is read only, and as any user, who can write to
// a new volume. Its health is what the image says to ask, and on SIGTERM it ends well.
func TestImage(t *testing.T) {
	p := newPodman(t)
	if err := testbinary.LookAtSources(); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("make", "-C", "..", "image", "VERSION="+versionBuilt, "IMAGE=httpdhs-test", "CONTAINERS="+strings.Join(p.global, " "))
	build.Env = append(withoutOurs(os.Environ()), "BUILDAH_LAYERS=false") // each would be a copy of the image
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	var images []struct {
		Config struct {
			User   string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal([]byte(p.do("image", "inspect", "httpdhs-test")), &images); err != nil || len(images) != 1 {
		t.Fatalf("%d images: %v", len(images), err)
	}
	config := images[0].Config
	if got := config.Labels["org.opencontainers.image.version"]; got != versionBuilt {
		t.Errorf("the image says that it is version %q", got)
	}
	if user, _, _ := strings.Cut(config.User, ":"); user == "" || strings.Trim(user, "123456789") == user {
		t.Errorf("the user is %q, want a number that is not 0", config.User)
	}

	p.do("run", "--detach", "--name=node", "--read-only", "--user=12345", "--network=none", "--ulimit=nofile=1024:1024",
		"--ulimit=nproc=1024:1024", "--volume=data:/data", "httpdhs-test", "server", "--data-dir=/data/node")
	t.Cleanup(func() { _, _ = p.try("rm", "--force", "node") })
	p.answers("put", "key", "value")
	p.do("healthcheck", "run", "node")
	p.do("stop", "--time=60", "node")
	if status := p.do("inspect", "--format={{.State.ExitCode}}", "node"); status != "0" {
		t.Errorf("the node ended with %s: %s", status, p.do("logs", "node"))
	}
	p.do("start", "node")
	if got := p.answers("get", "key"); got != "value" {
		t.Errorf("in the volume the key is %q", got)
	}
}

// answers runs a command in the container until the node has carried it out.
func (p *podman) answers(args ...string) (out string) {
	p.t.Helper()
	poll.Until(p.t, "the node answers", func() (err error) {
		if out, err = p.try(slices.Concat([]string{"exec", "node", "httpdhs"}, args)...); err != nil {
			state, _ := p.try("inspect", "--format={{.State.Status}}", "node")
			if state == "exited" {
				p.t.Fatalf("the node has ended: %s", p.do("logs", "node"))
			}
		}
		return err
	})
	return out
}
