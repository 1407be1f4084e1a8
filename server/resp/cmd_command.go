package resp

import (
	"bytes"
	"strings"

	"httpdhs/kv"
)

func commandCommands() []command {
	one := func(name string, arity int, run func(*session, [][]byte)) command {
		return command{name: "command|" + name, arity: arity, flags: acts, run: run}
	}
	return []command{{name: "command", arity: -1, flags: acts, run: commandAll, sub: []command{
		one("count", 2, func(s *session, _ [][]byte) { s.out.int(int64(len(s.told()))) }),
		one("info", -2, commandInfo),
		one("docs", -2, commandDocs),
		one("list", -2, commandList),
		one("getkeys", -4, commandGetKeys),
		one("help", 2, commandHelp),
	}}}
}

// told are the commands that COMMAND tells of.
func (s *session) told() (all []*command) {
	t := s.srv.commands
	for i := range t.all {
		if t.about[t.all[i].name] != nil {
			all = append(all, &t.all[i])
		}
	}
	return all
}

// named finds a command by the name that COMMAND has for it, be it of a subcommand. It returns nil
// if nothing is told of it.
func (s *session) named(name []byte) *command {
	t := s.srv.commands
	outer, inner, isSub := bytes.Cut(name, []byte("|"))
	cmd := t.find(outer)
	if cmd != nil && isSub {
		cmd = cmd.findSub(inner)
	}
	if cmd == nil || t.about[cmd.name] == nil {
		return nil
	}
	return cmd
}

func commandAll(s *session, _ [][]byte) {
	all := s.told()
	s.out.array(len(all))
	for _, cmd := range all {
		s.tell(cmd)
	}
}

func commandInfo(s *session, args [][]byte) {
	if len(args) == 2 {
		commandAll(s, args)
		return
	}
	s.out.array(len(args) - 2)
	for _, name := range args[2:] {
		if cmd := s.named(name); cmd != nil {
			s.tell(cmd)
		} else {
			s.out.null()
		}
	}
}

// tell writes what COMMAND INFO tells of a command.
func (s *session) tell(cmd *command) {
	a, out := s.srv.commands.about[cmd.name], &s.out
	out.array(10)
	out.text(a.name)
	out.int(int64(a.arity))
	out.statuses(a.flags)
	out.int(int64(a.first))
	out.int(int64(a.last))
	out.int(int64(a.step))
	out.statuses(a.categories)
	out.set(len(a.tips))
	for _, tip := range a.tips {
		out.text(tip)
	}
	out.set(len(a.specs))
	for i := range a.specs {
		out.keySpec(&a.specs[i])
	}
	out.set(len(cmd.sub))
	for i := range cmd.sub {
		s.tell(&cmd.sub[i])
	}
}

// statuses appends a set of statuses.
func (r *reply) statuses(all []string) {
	r.set(len(all))
	for _, text := range all {
		r.simple(text)
	}
}

func (r *reply) keySpec(k *keySpec) {
	if k.notes != "" {
		r.mapping(4)
		r.text("notes")
		r.text(k.notes)
	} else {
		r.mapping(3)
	}
	r.text("flags")
	r.statuses(k.flags)
	r.text("begin_search")
	r.keyRule(&k.begin)
	r.text("find_keys")
	r.keyRule(&k.find)
}

func (r *reply) keyRule(k *keyRule) {
	r.mapping(2)
	r.text("type")
	r.text(k.kind)
	r.text("spec")
	r.mapping(len(k.numbers))
	for i, name := range k.fields() {
		r.text(name)
		r.int(int64(k.numbers[i]))
	}
}

// commandDocs tells what commands are for. Their arguments are left out.
func commandDocs(s *session, args [][]byte) {
	all := s.told()
	if len(args) > 2 {
		all = all[:0]
		for _, name := range args[2:] {
			if cmd := s.named(name); cmd != nil {
				all = append(all, cmd)
			}
		}
	}
	s.out.mapping(len(all))
	for _, cmd := range all {
		s.document(cmd)
	}
}

func (s *session) document(cmd *command) {
	a, out := s.srv.commands.about[cmd.name], &s.out
	out.text(a.name)
	fields := [][2]string{{"summary", a.summary}, {"since", a.since}, {"group", a.group}}
	if a.complexity != "" {
		fields = append(fields, [2]string{"complexity", a.complexity})
	}
	n := len(fields)
	if len(cmd.sub) > 0 {
		n++
	}
	out.mapping(n)
	for _, field := range fields {
		out.text(field[0])
		out.text(field[1])
	}
	if len(cmd.sub) > 0 {
		out.text("subcommands")
		out.mapping(len(cmd.sub))
		for i := range cmd.sub {
			s.document(&cmd.sub[i])
		}
	}
}

func commandList(s *session, args [][]byte) {
	wanted := func(*about) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !is(args[2], "FILTERBY"):
		s.fail(errSyntax)
		return
	case is(args[3], "MODULE"):
		wanted = func(*about) bool { return false }
	case is(args[3], "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(a *about) bool { return strings.Contains(strings.Join(a.categories, " ")+" ", category+" ") }
	case is(args[3], "PATTERN"):
		pattern := bytes.ToLower(args[4])
		wanted = func(a *about) bool { return globMatch(pattern, []byte(a.name)) }
	default:
		s.fail(errSyntax)
		return
	}
	var names []string
	add := func(cmd *command) {
		if a := s.srv.commands.about[cmd.name]; wanted(a) {
			names = append(names, a.name)
		}
	}
	for _, cmd := range s.told() {
		add(cmd)
		for i := range cmd.sub {
			add(&cmd.sub[i])
		}
	}
	s.out.array(len(names))
	for _, name := range names {
		s.out.text(name)
	}
}

func commandGetKeys(s *session, args [][]byte) {
	args = args[2:]
	cmd := s.srv.commands.find(args[0])
	if cmd != nil && cmd.sub != nil && len(args) > 1 {
		cmd = cmd.findSub(args[1])
	}
	if cmd == nil {
		s.fail("ERR Invalid command specified")
		return
	}
	counted := cmd.name == "eval" || cmd.name == "evalsha"
	switch {
	case cmd.first == 0 && !counted:
		s.fail("ERR The command has no key arguments")
	case !cmd.takes(len(args)):
		s.fail("ERR Invalid number of arguments specified for command")
	case counted:
		n, ok := kv.ParseInteger(args[2])
		if !ok || n < 0 || n > int64(len(args)-3) {
			n = 0
		}
		s.out.array(int(n))
		for _, key := range args[3 : 3+n] {
			s.out.bulk(key)
		}
	default:
		var keys [][]byte
		for i, last := cmd.first, cmd.lastKey(len(args)); i <= last && i < len(args); i += cmd.step {
			keys = append(keys, args[i])
		}
		s.out.array(len(keys))
		for _, key := range keys {
			s.out.bulk(key)
		}
	}
}

func commandHelp(s *session, _ [][]byte) {
	s.help("COMMAND",
		"(no subcommand)",
		"    Return details about all commands.",
		"COUNT",
		"    Return the total number of commands.",
		"LIST [FILTERBY (MODULE <module-name>|ACLCAT <cat>|PATTERN <pattern>)]",
		"    Return a list of all commands.",
		"INFO [<command-name> ...]",
		"    Return details about multiple commands.",
		"DOCS [<command-name> ...]",
		"    Return documentation details about multiple commands.",
		"GETKEYS <full-command>",
		"    Return the keys from a full command.")
}
