package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// raw is an argument byte for byte. kong passes a plain string through JSON,
// which turns what is not UTF-8 into U+FFFD: a put would go to another key
// than the one that was asked for.
type raw string

// Decode is called by kong.
func (r *raw) Decode(ctx *kong.DecodeContext) error {
	text, err := textOf(ctx)
	*r = raw(text)
	return err
}

// textOf is what the command line has for an argument or a flag, byte for byte.
func textOf(ctx *kong.DecodeContext) (string, error) {
	token, err := ctx.Scan.PopValue("string")
	if err != nil {
		return "", err
	}
	text, ok := token.Value.(string)
	if !ok {
		return "", fmt.Errorf("expected a string but got %v", token)
	}
	return text, nil
}
