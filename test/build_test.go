package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"httpdhs/internal/testbinary"
)

// thorough says that tests are wanted too which every day stand back behind another: make thorough.
var thorough = os.Getenv("THOROUGH") != ""

// shippedFlags are those with which make builds what is shipped. The binary under test is built
// with them too.
var shippedFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + versionBuilt}

// makeShipped runs make for what is shipped for this machine.
func makeShipped(target string, vars ...string) error {
	if err := testbinary.LookAtSources(); err != nil {
		return err
	}
	cmd := exec.Command("make", append([]string{"-C", "..", target, "VERSION=" + versionBuilt}, vars...)...)
	cmd.Env = append(withoutOurs(os.Environ()), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	return nil
}

// released is the folder of a release for this machine, made once for all tests.
var released = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(filepath.Dir(binary), "release")
	return dir, makeRelease(dir)
})

// makeRelease makes a release in a folder.
func makeRelease(dir string) error {
	return makeShipped("release", "DIST="+dir, "ARCHS="+runtime.GOARCH, "TARGETS=linux/"+runtime.GOARCH,
		"CYCLONEDX=true") // true makes no SBOM: to look licences up takes a minute
}
