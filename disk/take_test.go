package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"httpdhs/disk"
	"httpdhs/internal/crashfs"
)

// A directory that has anything of somebody else is refused, and nothing is added to it. What a
// mount point has, and what a first start leaves that was cut off, is nobody's.
func TestDirectoryOfSomebodyElse(t *testing.T) {
	for names, want := range map[string]string{
		"":                          "",
		"lock":                      "",
		"lock meta.new lost+found":  "",
		"letter":                    `it has other files, such as "letter": give --data-dir an empty directory`,
		"lock lost+found .profile":  `".profile"`,
		"meta.new backup.json":      `"backup.json"`,
		"spare":                     `"spare"`,
		"letter 00000001.log":       "it has a log and no meta: restore that file",
		"meta.new 00000001.log":     "it has a log and no meta",
		"lost+found/ letters/":      `"letters"`,
		"lost+found/ lock meta.new": "",
	} {
		d := crashfs.New(crashDir)
		for _, name := range strings.Fields(names) {
			if below, is := strings.CutSuffix(name, "/"); is {
				must(t, d.MkdirAll(filepath.Join(crashDir, below)))
			} else {
				writeFile(t, d, name, []byte("text"))
			}
		}
		before, err := d.List(crashDir)
		must(t, err)
		log, err := disk.Open(disk.Options{Dir: crashDir, FS: d, Identity: testID})
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", names, err)
				continue
			}
			must(t, log.Close())
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, disk.ErrForeign) && !errors.Is(err, disk.ErrFormat) {
			t.Errorf("%s: %v, want %s", names, err, want)
		}
		if after, err := d.List(crashDir); err != nil || !slices.Equal(after, before) {
			t.Errorf("%s: it has %q, %v", names, after, err)
		}
	}
}

// Whatever keeps a directory from being taken, the error says what to do.
func TestWhatToDoAboutADirectory(t *testing.T) {
	for want, fault := range map[string]error{
		"let the user of this node read and write there": syscall.EACCES,
		"mount it for writing":                           syscall.EROFS,
		"give --data-dir a directory":                    syscall.ENOTDIR,
		"cannot use " + crashDir:                         syscall.EIO,
	} {
		d := crashfs.New(crashDir)
		d.Fault(func(f *crashfs.Faults) { f.NameErr = fault })
		_, err := disk.Open(disk.Options{Dir: crashDir, FS: d, Identity: testID})
		if !errors.Is(err, fault) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := disk.Open(disk.Options{Dir: dir, Identity: testID}); err == nil || !strings.Contains(err.Error(), "not a directory: give") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	d := crashfs.New(crashDir)
	writeFile(t, d, "meta", []byte("{}"))
	_, err := disk.Open(disk.Options{Dir: crashDir, FS: d, Identity: testID})
	if err == nil || !strings.Contains(err.Error(), "its meta is damaged: what it held is on the other nodes") {
		t.Errorf("a damaged meta: %v", err)
	}
}

// Who finds a directory in use is told by which process, if that runs. What the lock file says
// decides nothing, and is gone when the directory is given back.
func TestWhoHasTheDirectory(t *testing.T) {
	ended := exec.Command("true")
	must(t, ended.Run())
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	for text, want := range map[string]string{
		fmt.Sprint(os.Getppid(), "\n"):    fmt.Sprintf("in use by process %d: stop that one", os.Getppid()),
		fmt.Sprint(ended.Process.Pid):     "in use by another process",
		"":                                "in use by another process",
		"-1":                              "in use by another process",
		"text that is longer than a line": "in use by another process",
	} {
		must(t, os.WriteFile(lock, []byte(text), 0o600)) // as one leaves it that was killed
		o := disk.Options{Dir: dir, Identity: testID}
		log, err := disk.Open(o)
		must(t, err)
		if got, err := os.ReadFile(lock); err != nil || string(got) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("the lock has %q, %v", got, err)
		}
		must(t, os.WriteFile(lock, []byte(text), 0o600))
		if _, err := disk.Open(o); !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if _, err := (disk.ReadOnly{}).Lock(dir); !errors.Is(err, disk.ErrInUse) {
			t.Errorf("who only reads: %v", err)
		}
		must(t, log.Close())
		if info, err := os.Stat(lock); err != nil || info.Size() > 0 {
			t.Errorf("it is left with %v: %v", info, err)
		}
	}
	reader, err := disk.ReadOnly{}.Lock(dir)
	must(t, errors.Join(err, reader.Close()))
	if info, err := os.Stat(lock); errors.Is(err, fs.ErrNotExist) || info.Size() > 0 {
		t.Errorf("who only reads has left %v, %v", info, err)
	}
}
