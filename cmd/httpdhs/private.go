package main

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
)

// secretFile is a file that is for the user of the node alone, or for its group.
type secretFile struct{ flag, name string }

// secretFiles are those that the flags name.
func (cmd *serverCmd) secretFiles() []secretFile {
	return []secretFile{
		{"--auth-token-file", cmd.AuthTokenFile}, {"--cluster-secret-file", cmd.ClusterSecretFile},
		{"--metrics-token-file", cmd.MetricsTokenFile}, {"--tls-key", cmd.TLSKey},
	}
}

// warnOfOpen logs which of the files anybody on the machine may read or write. That is no error: in
// a container there may be nobody else.
func warnOfOpen(log *slog.Logger, files []secretFile) {
	for _, f := range files {
		if mode, open := openToOthers(f.name); open {
			log.Warn("ANYBODY ON THIS MACHINE MAY READ OR WRITE A FILE THAT HOLDS A SECRET: chmod o-rwx "+f.name,
				"flag", f.flag, "file", f.name, "mode", mode.Perm().String())
		}
	}
}

// openToOthers says whether others than a file's user and group may read or write it: by its own
// mode, and those of all directories on the way. No name is no file.
func openToOthers(name string) (mode fs.FileMode, open bool) {
	if name == "" || runtime.GOOS == "windows" { // which has no such modes
		return 0, false
	}
	path, err := filepath.Abs(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return 0, false
	}
	info, err := os.Stat(path)
	const others, pass = 0o006, 0o001
	if err != nil || !info.Mode().IsRegular() || info.Mode()&others == 0 {
		return 0, false
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if way, err := os.Stat(dir); err == nil && way.Mode()&pass == 0 {
			return 0, false
		}
		if dir == filepath.Dir(dir) {
			return info.Mode(), true
		}
	}
}
