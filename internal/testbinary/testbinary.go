// Package testbinary builds the command httpdhs for tests that run it, and has go test keep their
// results only as long as the binary stays the same.
//
// It finds the sources from the working folder, which is the folder of the package that is tested.
// Functions are safe for concurrent use.
package testbinary

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Build builds the command as a file of dir, with these flags of go build beside, and returns the
// path of the file.
func Build(dir string, flags ...string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "httpdhs")
	build := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), "./cmd/httpdhs")...)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the binary: %w\n%s", err, out)
	}
	return binary, nil
}

// LookAtSources looks at all files that the binary may be made of. A test that runs the binary
// calls it. go test keeps a result until a file changes that the test has looked at, and it does
// not see what go build reads. TestMain is too early: looks are noted from m.Run on.
func LookAtSources() error { return look() }

// look looks once: what is noted is noted for all tests of the process.
var look = sync.OnceValue(func() error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil // another process has removed it meanwhile: it is no source
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name() == "bin" || entry.Name() == "dist" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		}
		_, _ = os.Stat(path) // that it is not there is noted too
		return nil
	})
})

// findRoot is the folder of the sources, at or above the working folder.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "httpdhs")); err == nil {
			return dir, nil
		} else if dir == filepath.Dir(dir) {
			return "", errors.New("cannot find the sources: run the test in a folder of the module")
		}
	}
}
