package test

import (
	"encoding/json"
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
	p.do(t, "healthcheck", "run", "node")
	p.do(t, "stop", "--time=60", "node")
	if status := p.do(t, "inspect", "--format={{.State.ExitCode}}", "node"); status != "0" {
		t.Errorf("the node ended with %s: %s", status, p.do(t, "logs", "node"))
	}
	p.do(t, "start", "node")
	if got := p.answers(t, "get", "key"); got != "value" {
		t.Errorf("in the volume the key is %q", got)
	}
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
