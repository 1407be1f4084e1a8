package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version string

// versionName is what this binary calls itself, in answers too.
func versionName() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func versionLine() string {
	return fmt.Sprintf("httpdhs %s %s %s/%s", versionName(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

type versionCmd struct{}

func (versionCmd) Run(term *terminal) error {
	_, err := fmt.Fprintln(term.out, versionLine())
	return err
}

// versionFlag is --version, which those who do not know of the command try.
type versionFlag bool

func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, versionLine())
	app.Exit(exitOK)
	return nil
}
