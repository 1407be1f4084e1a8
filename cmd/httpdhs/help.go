package main

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"httpdhs/client"
)

// helpCmd is --help, as those expect it who know git and go.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command; all of them without."`
}

func (cmd *helpCmd) Run(app *kong.Kong) error {
	_, err := app.Parse(append(cmd.Command, "--help")) // which ends the program
	return &usageError{err}
}

// whatToDo is what follows an error, where the flags of this program can help.
func whatToDo(err error, parsed *kong.Context) string {
	var stranger x509.UnknownAuthorityError
	switch {
	case errors.Is(err, client.ErrUnauthorized):
		if file := flagOf(parsed, "auth-token-file"); file != "" {
			return fmt.Sprintf("; the token in %s, which --auth-token-file names, is not that of the nodes", file)
		}
		return "; name a file with it: --auth-token-file=FILE"
	case errors.Is(err, client.ErrNoTLS):
		return "; leave out --tls-ca, and https:// before its address"
	case errors.As(err, &stranger):
		return "; name the authority of the nodes' certificates: --tls-ca=FILE"
	}
	return ""
}

// flagOf is what a flag of the command is, if it has it and is a string.
func flagOf(parsed *kong.Context, name string) string {
	for _, f := range parsed.Flags() {
		if f.Name == name {
			text, _ := parsed.FlagValue(f).(string)
			return text
		}
	}
	return ""
}
