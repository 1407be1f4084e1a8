package resp

import "strings"

// To add a command: write its handler in the cmd_*.go file of its family, and add its row to the
// list of that family; a new family's list goes into newTable. A handler is of one of two kinds.
//
// One that plans says what is to be done, and how that is answered. The operations are carried out
// with those of other commands:
//
//	func strlen(s *session, args [][]byte) {
//		s.plan(answerLength)      // how it is answered, once they are done
//		s.op(kv.OpGet, args[1])   // the operations, in their order
//	}
//
// It writes nothing to s.out. What it finds wrong it says by s.fail. What its answer needs beside
// the operations is in the planned: s.plan returns it.
//
// One that acts has the flag acts. Everything before it has been carried out and answered. It
// writes its answer to s.out, and may use the store (s.do, s.list) and change the session.
//
// Both are called with all arguments, the command's name first. The arity, the keys (there is none,
// or it is too long) and the password were looked at. Arguments alias the read buffer: what is kept
// beyond the call is copied.

// flags are what is known of a command without running it.
type flags uint32

const (
	acts      flags = 1 << iota // see above
	forGuests                   // without AUTH
	aside                       // is carried out within MULTI, and not queued
)

// command is a row of the table.
type command struct {
	name  string // in lower case; of a subcommand it is as object|encoding
	arity int    // how many arguments it has with its name; -n: n at least
	flags flags

	// The places of the keys among its arguments: from first to last, which counts from the end if
	// it is negative, one each step. first 0: it has none.
	first, last, step int

	run func(s *session, args [][]byte)
	sub []command // instead of run, or of a command that has more than its name
}

// table finds a command by its name.
type table struct {
	all   []command
	about map[string]*about // what COMMAND tells of them
	slots [tableSlots]*command
}

const (
	tableSlots = 1 << 10
	nameMax    = 32
)

// newTable makes the table. It is no variable, since handlers tell of it.
func newTable() *table {
	t := &table{about: readAbout()}
	for _, family := range [][]command{
		connectionCommands(), stringCommands(), keyCommands(), expiryCommands(), scanCommands(),
		sessionCommands(), clientCommands(), transactionCommands(), scriptCommands(), clusterCommands(), waitCommands(),
		infoCommands(), configCommands(), adminCommands(), commandCommands(),
	} {
		t.all = append(t.all, family...)
	}
	for i := range t.all {
		t.add(&t.all[i])
	}
	return t
}

func (t *table) add(cmd *command) {
	at := slotOf([]byte(cmd.name))
	for t.slots[at] != nil {
		at = (at + 1) % tableSlots
	}
	t.slots[at] = cmd
}

// find returns the command of that name, or nil.
func (t *table) find(name []byte) *command {
	if len(name) > nameMax {
		return nil
	}
	var buf [nameMax]byte
	key := lower(&buf, name)
	for at := slotOf(key); ; at = (at + 1) % tableSlots {
		cmd := t.slots[at]
		if cmd == nil || cmd.name == string(key) {
			return cmd
		}
	}
}

func lower(into *[nameMax]byte, name []byte) []byte {
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		into[i] = c
	}
	return into[:len(name)]
}

func slotOf(name []byte) uint32 {
	h := uint32(2166136261) // FNV-1a
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	return (h ^ h>>16) % tableSlots
}

// findSub returns the subcommand of that name, or nil.
func (c *command) findSub(name []byte) *command {
	for i := range c.sub {
		if _, sub, _ := strings.Cut(c.sub[i].name, "|"); strings.EqualFold(sub, string(name)) {
			return &c.sub[i]
		}
	}
	return nil
}

// takes says whether the command may have so many arguments.
func (c *command) takes(n int) bool { return n == c.arity || c.arity < 0 && n >= -c.arity }

// lastKey is the place of the last key among n arguments.
func (c *command) lastKey(n int) int {
	if c.last < 0 {
		return n + c.last
	}
	return c.last
}
