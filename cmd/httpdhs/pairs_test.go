package main

import "testing"

// A key is one line, which can be read back.
func TestPrintable(t *testing.T) {
	for key, want := range map[string]string{
		"a/b":    "a/b",
		"å b":    "å b",
		"a\nb":   `"a\nb"`,
		"\xff":   `"\xff"`,
		`"q"`:    `"\"q\""`,
		"":       `""`,
		"a\x00b": `"a\x00b"`,
	} {
		if got := printable(key); got != want {
			t.Errorf("%q is printed as %s, want %s", key, got, want)
		}
	}
}
