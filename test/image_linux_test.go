package test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"httpdhs/internal/poll"
)

// The image is built, and is what its page says: alone, and as a cluster. One build does for all.
func TestImage(t *testing.T) {
	t.Parallel()
	p := containers(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *podman)
	}{
		{"alone", imageAlone},
		{"cluster", imageCluster},
		{"built in a container", imageBuiltInside},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Cleanup(func() { p.clear(t) })
			part.run(t, p)
		})
	}
}

// imageAlone: the image names its version, holds nothing but the binary and a directory, and is not
// run as root. A node in it works with a file system that is read only, and as any user, who can
// write to a new volume. Its health is what the image says to ask, and on SIGTERM it ends well.
func imageAlone(t *testing.T, p *podman) {
	var images []struct {
		Config struct {
			User   string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal([]byte(p.do(t, "image", "inspect", testImage)), &images); err != nil || len(images) != 1 {
		t.Fatalf("%d images: %v", len(images), err)
	}
	config := images[0].Config
	if got := config.Labels["org.opencontainers.image.version"]; got != versionBuilt {
		t.Errorf("the image says that it is version %q", got)
	}
	if user, _, _ := strings.Cut(config.User, ":"); user == "" || strings.Trim(user, "123456789") == user {
		t.Errorf("the user is %q, want a number that is not 0", config.User)
	}

	p.do(t, "run", "--detach", "--name=node", "--read-only", "--user=12345", "--network=none", "--ulimit=nofile=1024:1024",
		"--ulimit=nproc=1024:1024", "--volume=data:/data", testImage, "server", "--data-dir=/data/node")
	p.answers(t, "put", "key", "value")
	p.awaitHealthy(t, "node")
	p.do(t, "stop", "--time=60", "node")
	if status := p.do(t, "inspect", "--format={{.State.ExitCode}}", "node"); status != "0" {
		t.Errorf("the node ended with %s: %s", status, p.do(t, "logs", "node"))
	}
	p.do(t, "start", "node")
	if got := p.answers(t, "get", "key"); got != "value" {
		t.Errorf("in the volume the key is %q", got)
	}
}

// golangImage is a stand-in for the image that has Go: its "go build" writes a word to what it is
// to build.
const golangImage = `FROM scratch
COPY busybox /bin/
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin"]
RUN printf '%s\n' '#!/bin/sh' '[ "$1" = build ] || exit 0' 'while [ "$1" != -o ]; do shift; done' \
    'mkdir -p "${2%/*}" && echo built inside > "$2"' > /bin/go && chmod 755 /bin/go
`

// imageBuiltInside: the image can be built in a container after it was built from the Go of this
// machine, whose files are among the sources then. It has what was built last.
func imageBuiltInside(t *testing.T, p *podman) {
	busybox, err := exec.LookPath("busybox")
	if err != nil || !static(t, busybox) {
		t.Skip("there is no busybox that needs no libraries (busybox-static): the build in a container is not tried")
	}
	dir := t.TempDir()
	body, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "busybox"), body, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(golangImage), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../dist/image/data"); err != nil {
		t.Fatalf("the sources have no files of make image: %v", err)
	}
	build := func(args ...string) {
		p.do(t, append([]string{"build", "--isolation=chroot", "--format=docker"}, args...)...)
	}
	build("--tag=golang:1.26", dir)
	build("--build-arg=SOURCE=build", "--file=deploy/Dockerfile", "--tag="+testImage+"-inside", ".")
	p.do(t, "create", "--name=inside", testImage+"-inside")
	to := p.storage + "/tmp/inside"
	p.do(t, "export", "--output="+to, "inside")
	got, err := output(append(p.enter(), "tar", "-xOf", to, "usr/bin/httpdhs"))
	if err != nil || got != "built inside" {
		t.Errorf("the image has %.40q (%v)", got, err)
	}
	list, err := output(append(p.enter(), "tar", "-tvf", to, "data/"))
	if err != nil || !strings.HasPrefix(list, "drwxrwxrwt") {
		t.Errorf("its directory for data is %q (%v)", list, err)
	}
}

// static says whether a program needs no libraries.
func static(t *testing.T, program string) bool {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// answers runs a command in the container until the node has carried it out.
func (p *podman) answers(t *testing.T, args ...string) (out string) {
	t.Helper()
	poll.Until(t, "the node answers", func() (err error) {
		if out, err = p.try(slices.Concat([]string{"exec", "node", "httpdhs"}, args)...); err != nil {
			state, _ := p.try("inspect", "--format={{.State.Status}}", "node")
			if state == "exited" {
				t.Fatalf("the node has ended: %s", p.do(t, "logs", "node"))
			}
		}
		return err
	})
	return out
}
