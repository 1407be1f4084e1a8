// Package mutants holds no code: its test breaks the rules of the protocol, one line at a time, and
// sees that a test finds each. docs/design/mutants.md lists them.
package mutants
