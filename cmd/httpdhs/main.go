// Command httpdhs runs a node of a distributed hash table over HTTP, a whole
// cluster for trying things out, and the tools to use one from a shell.
//
// This package is thin: it reads flags, the environment and files, and hands
// what they say to package node or package client. It alone knows about exit
// statuses: 0 done, 1 not done, 2 asked for in the wrong way, or 78 for that
// where a service manager runs the node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"httpdhs/kv"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2

	// exitConfig is EX_CONFIG of sysexits.h.
	exitConfig = 78
)

// serverName is the command that runs a node.
const serverName = "server"

// misused is the status of a command that was asked for in the wrong way. A service manager has to
// tell a node that is set up wrongly, which a restart does not heal, from one that has crashed. Go
// ends with 2 on a crash, so there the status is another one.
func misused(args []string) int {
	if _, managed := os.LookupEnv("NOTIFY_SOCKET"); managed && len(args) > 0 && args[0] == serverName {
		return exitConfig
	}
	return exitUsage
}

// commands is the command line. Each command is in a file of its own.
type commands struct {
	Version versionFlag `short:"V" env:"-" help:"Print the version."`

	Server     serverCmd     `cmd:"" help:"Run a node."`
	Dev        devCmd        `cmd:"" help:"Run a whole cluster in one process, to try things out."`
	LoadData   loadCmd       `cmd:"" help:"Load a file of pairs into the cluster."`
	Get        getCmd        `cmd:"" help:"Print the value of a key."`
	Put        putCmd        `cmd:"" help:"Store a value under a key."`
	Del        delCmd        `cmd:"" help:"Delete a key."`
	Keys       keysCmd       `cmd:"" help:"List the keys, one a line."`
	Health     healthCmd     `cmd:"" name:"healthcheck" help:"Ask a node how it is, for containers and scripts."`
	Status     statusCmd     `cmd:"" help:"Show the nodes of the cluster and how they are."`
	Ring       ringCmd       `cmd:"" help:"Show who owns what, or where one key lives."`
	Leave      leaveCmd      `cmd:"" help:"Have a node hand its data over and leave the cluster."`
	SafeToStop safeCmd       `cmd:"" help:"Say whether nodes can be stopped now without a loss of keys."`
	Remove     removeCmd     `cmd:"" help:"Take a node that is down for good off the ring."`
	Recover    recoverCmd    `cmd:"" help:"Have a node go on without those that are down for good."`
	Backup     backupCmd     `cmd:"" help:"Write what the nodes have on disk to a directory or a file."`
	Restore    restoreCmd    `cmd:"" help:"Put a backup into a cluster."`
	Check      checkCmd      `cmd:"" help:"Look through a backup, or a --data-dir of a node that does not run."`
	Bench      benchCmd      `cmd:"" help:"Put load on nodes and measure."`
	VersionCmd versionCmd    `cmd:"" name:"version" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	HelpCmd    helpCmd       `cmd:"" name:"help" help:"Show what a command does and takes."`
	Man        manCmd        `cmd:"" hidden:"" help:"Write the manual pages, made from this help, to a directory."`
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a fault in how the command was called, its files included.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// plain has kong's errors in plain words.
var plain = strings.NewReplacer("expected value value", "expected a value", "expected string value", "expected a value",
	"expected int value", "expected a number", "expected float value", "expected a number", `got "EOL" (<EOL>)`, "got none",
	"missing value, expecting", "expected")

// exitRequest is what kong's Exit, for which there is no way back, becomes.
type exitRequest int

// newParser builds the command line over cli.
func newParser(cli *commands, term *terminal) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Name("httpdhs"),
		kong.Description("A distributed hash table over HTTP. Every flag can be set in the environment: --max-memory is HTTPDHS_MAX_MEMORY."),
		kong.DefaultEnvars("HTTPDHS"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, FlagsLast: true}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.Writers(term.out, term.err),
		kong.Exit(func(status int) { panic(exitRequest(status)) }),
		kong.Bind(term),
	)
}

// run is the program without the process around it.
func run(args []string, in io.Reader, out, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exitRequest)
			if !ok {
				panic(r)
			}
			status = int(code)
		}
	}()
	term := &terminal{in: in, out: out, err: stderr}
	parser, err := newParser(new(commands), term)
	if err != nil {
		panic("BUG: the command line does not build: " + err.Error())
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		help := "httpdhs --help"
		if len(args) > 0 && findCommand(parser.Model.Node, args[0]) != nil {
			help = "httpdhs " + args[0] + " --help"
		}
		fmt.Fprintf(stderr, "httpdhs: %s (see %s)\n", plain.Replace(oneLine(err)), help)
		return misused(args)
	}
	// Of the commands that end by themselves the first signal cancels ctx;
	// server and dev look after signals on their own.
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err = parsed.Run(); err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "httpdhs: %s%s\n", oneLine(err), whatToDo(err, parsed))
	var usage *usageError
	if errors.As(err, &usage) || errors.Is(err, kv.ErrKeyEmpty) {
		return misused(args)
	}
	return exitError
}

// AfterApply is called by kong. What is given has to say something: empty, --join starts a cluster
// of one, --auth-token-file lets everybody in, and --bind takes all addresses. It is most often a
// variable of a script that is not set. A flag with the tag unset may be empty in the environment,
// which is as if it were not there.
func (*commands) AfterApply(parsed *kong.Context) error {
	for _, f := range parsed.Flags() {
		value := reflect.ValueOf(parsed.FlagValue(f))
		if kind := value.Kind(); kind != reflect.String && kind != reflect.Slice || value.Len() > 0 {
			continue
		}
		if slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool { return p.Flag == f }) {
			return fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name)
		}
		if f.Tag.Has("unset") {
			continue
		}
		for _, name := range f.Envs {
			if _, set := os.LookupEnv(name); set {
				return fmt.Errorf("%s is empty: give it a value, or unset it", name)
			}
		}
	}
	return nil
}

func findCommand(root *kong.Node, name string) *kong.Node {
	for _, node := range root.Children {
		if node.Name == name {
			return node
		}
	}
	return nil
}

// oneLine keeps an error on the one line that it is promised. Several that
// were joined, as faults of several flags are, stay apart.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if part := oneLineOf(line); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

func oneLineOf(text string) string { return strings.Join(strings.Fields(text), " ") }
