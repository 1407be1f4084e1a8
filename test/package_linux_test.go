package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"httpdhs/internal/poll"
)

// packager is a program that installs packages, and how it does what the test needs.
type packager struct {
	ending                          string // of packages
	needs, install, upgrade, remove string
	files                           string // lists those of a package
	purge                           string // takes away what remove leaves; if there is none, that stays
	completion                      string // of zsh
	envAfterRemoval                 string
}

var packagers = map[string]packager{
	"deb": {
		ending: ".deb", needs: "dpkg",
		install: "dpkg --no-triggers --install", upgrade: "dpkg --no-triggers --install",
		remove: "dpkg --no-triggers --remove httpdhs", files: "dpkg --listfiles httpdhs",
		purge: "dpkg --no-triggers --purge httpdhs", completion: "/usr/share/zsh/vendor-completions/_httpdhs",
		envAfterRemoval: "/etc/httpdhs/httpdhs.env",
	},
	// Where rpm is not what the machine's own packages are in, it wants to be forced, and does not
	// know who has a shell.
	"rpm": {
		ending: ".rpm", needs: "rpm",
		install: "rpm --install --nodeps --force-debian", upgrade: "rpm --upgrade --nodeps --force --force-debian",
		remove: "rpm --erase --nodeps --force-debian httpdhs", files: "rpm --query --list httpdhs",
		completion:      "/usr/share/zsh/site-functions/_httpdhs",
		envAfterRemoval: "/etc/httpdhs/httpdhs.env.rpmsave",
	},
}

// A package is installed, and brings a user, a unit, settings, manual pages and completion. What
// the unit says to start works, by the settings as they are and as they were changed. An upgrade
// leaves these and the running node alone. Removal leaves settings and data, and purging what is
// somebody's own.
func TestPackages(t *testing.T) {
	t.Parallel()
	for name, p := range packagers {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(p.needs); err != nil {
				t.Skipf("there is no %s here", p.needs)
			}
			dir, err := released()
			if err != nil {
				t.Fatal(err)
			}
			b := newBox(t, dir)
			if b.has("/usr/bin/httpdhs") {
				t.Skip("httpdhs is installed on this machine")
			}
			b.lifeOfAPackage(p)
		})
	}
}

func (b *box) lifeOfAPackage(p packager) {
	t := b.t
	t.Helper()
	file := "/tmp/given/*" + p.ending
	b.do(p.install + " " + file)
	for _, name := range []string{
		"/usr/share/man/man1/httpdhs.1.gz", "/usr/share/man/man1/httpdhs-server.1.gz", p.completion,
		"/usr/share/bash-completion/completions/httpdhs", "/usr/share/fish/vendor_completions.d/httpdhs.fish",
	} {
		if !strings.Contains(b.do(p.files)+"\n", name+"\n") || !b.has(name) {
			t.Errorf("the package has no %s", name)
		}
	}
	if said := b.do("httpdhs version"); !strings.Contains(said, versionBuilt) {
		t.Errorf("the binary calls itself %q, want %s", said, versionBuilt)
	}
	if user := b.do("getent passwd httpdhs"); !strings.Contains(user, ":/var/lib/httpdhs:") || !strings.HasSuffix(user, "nologin") {
		t.Errorf("the user is %s", user)
	}
	u := b.unit("/usr/lib/systemd/system/httpdhs.service")

	node := b.start(u) // as it was installed: alone, at the default port
	b.answers("put key value")
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}

	// The example of a data directory in the settings is one that the unit lets it write.
	b.do("sed -i 's/^#HTTPDHS_DATA_DIR=/HTTPDHS_DATA_DIR=/' " + u.environment)
	node = b.start(u)
	b.answers("put key value")
	b.do(p.upgrade + " " + file)
	if !node.running() {
		t.Errorf("the upgrade has stopped the node: %s", &node.err)
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	node = b.start(u)
	if got := b.answers("get key"); got != "value" {
		t.Errorf("after the upgrade the key is %q", got)
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}

	b.do(p.remove)
	for _, name := range []string{"/usr/bin/httpdhs", "/usr/lib/systemd/system/httpdhs.service", "/usr/share/doc/httpdhs"} {
		if b.has(name) {
			t.Errorf("after the removal there is %s", name)
		}
	}
	if !b.has(p.envAfterRemoval) || !b.has(u.state+"/*") {
		t.Errorf("the removal took settings or data away: %s", b.do("ls -R /etc/httpdhs "+u.state))
	}
	if p.purge == "" {
		return
	}
	// Of the files that people have made for the node, those go that the example of settings names.
	named := regexp.MustCompile(`=(/etc/httpdhs/\S+)`).FindAllStringSubmatch(b.do("cat "+p.envAfterRemoval), -1)
	if len(named) < 5 {
		t.Fatalf("the settings name %d files", len(named))
	}
	for _, file := range named {
		b.do("touch " + file[1])
	}
	const own = "/etc/httpdhs/ca.key"
	b.do("touch " + own)
	b.do(p.purge)
	if left := b.left(); left != "/etc/httpdhs\n"+own {
		t.Errorf("purging left\n%s", left)
	}
}

// answers runs a command of the installed binary until a node has carried it out.
func (b *box) answers(command string) (out string) {
	b.t.Helper()
	poll.Until(b.t, "the node answers "+command, func() (err error) {
		out, err = b.try("httpdhs " + command)
		return err
	})
	return out
}

var ownFiles = regexp.MustCompile(`^/var/(lib/dpkg|log)/|^/etc/(.*-|\.pwd\.lock)$`)

// left is what was written in the box and is still there. What is as it was before does not count,
// nor what dpkg and those who change users keep for themselves.
func (b *box) left() string {
	files := b.do("find /mnt -mindepth 1 ! -type d -o -name '*httpdhs*'")
	var left []string
	for name := range strings.Lines(files) {
		name = strings.TrimPrefix(strings.TrimSpace(name), "/mnt")
		if ownFiles.MatchString(name) {
			continue
		}
		before, err := os.ReadFile(name)
		after, _ := b.try("cat " + name)
		if err == nil && strings.TrimSpace(string(before)) == after {
			continue
		}
		left = append(left, name)
	}
	return strings.Join(left, "\n")
}

// The same sources come to the same files again, and the checksums are those of the files. An
// archive has the binary, what the licence asks for, and what the packages have.
func TestReleaseIsRepeatable(t *testing.T) {
	t.Parallel()
	var sums [2]string
	var dir string
	for i := range sums {
		var err error
		if i == 0 {
			dir, err = released()
		} else {
			dir = t.TempDir()
			err = makeRelease(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(body)
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 3 {
		t.Errorf("first\n%s\nthen\n%s", sums[0], sums[1])
	}
	check := exec.Command("sha256sum", "--check", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	list, err := exec.Command("sh", "-c", "tar -tzf "+dir+"/*.tar.gz").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"httpdhs", "LICENSE", "README.md", "CHANGELOG.md", "man/httpdhs-server.1", "completion/httpdhs.zsh"} {
		if !strings.Contains(string(list), "_linux_"+runtime.GOARCH+"/"+name+"\n") {
			t.Errorf("the archive has no %s:\n%s", name, list)
		}
	}
}
