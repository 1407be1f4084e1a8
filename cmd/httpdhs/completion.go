package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a script that a shell reads at its start. The script
// is written from the command line's own model and does not call back: it is
// as fast as the shell, and works when the binary is not in the path.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help is what "httpdhs completion --help" says in addition.
func (completionCmd) Help() string {
	return "bash: source <(httpdhs completion bash)\n\n" +
		"zsh: source <(httpdhs completion zsh)\n\n" +
		"fish: httpdhs completion fish | source"
}

func (cmd *completionCmd) Run(app *kong.Kong, term *terminal) error {
	words := completions(app.Model.Node)
	var script string
	switch cmd.Shell {
	case "bash":
		script = bashScript(words)
	case "zsh":
		script = zshHead + bashScript(words) + zshTail
	case "fish":
		script = fishScript(words)
	}
	_, err := io.WriteString(term.out, script)
	return err
}

// completion is what there is to complete after a command.
type completion struct {
	name, help string
	flags      []*kong.Flag
	words      []string // what its argument may be, if that is a list
}

func completions(root *kong.Node) []completion {
	var all []completion
	commands := shown(root.Children)
	for _, node := range commands {
		c := completion{name: node.Name, help: node.Help}
		for _, flags := range node.AllFlags(true) {
			c.flags = append(c.flags, flags...)
		}
		for _, arg := range node.Positional {
			c.words = append(c.words, enumOf(arg)...)
		}
		if c.name == "help" {
			for _, other := range commands {
				c.words = append(c.words, other.Name)
			}
		}
		all = append(all, c)
	}
	return all
}

func enumOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return strings.Split(v.Enum, ",")
}

// takesFile says whether a flag's value is the name of a file.
func takesFile(f *kong.Flag) bool { return strings.HasSuffix(f.PlaceHolder, "FILE") }

func bashScript(all []completion) string {
	var b strings.Builder
	var names []string
	for _, c := range all {
		names = append(names, c.name)
	}
	fmt.Fprintf(&b, `# Completion of httpdhs for bash.
_httpdhs() {
	local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words="" i
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "%s --help --version" -- "$current"))
		return
	fi
	if [ "$current" = "=" ]; then
		current=""
	elif [ "$previous" = "=" ]; then
		previous="${COMP_WORDS[COMP_CWORD-2]}"
	fi
	case "${COMP_WORDS[1]} $previous" in
`, strings.Join(names, " "))
	for _, c := range all {
		for _, f := range c.flags {
			reply := ""
			switch {
			case f.IsBool():
				continue
			case len(enumOf(f.Value)) > 0:
				reply = fmt.Sprintf(`COMPREPLY=($(compgen -W "%s" -- "$current"))`, strings.Join(enumOf(f.Value), " "))
			case takesFile(f):
				reply = `COMPREPLY=($(compgen -f -- "$current"))`
			default:
				reply = ":"
			}
			fmt.Fprintf(&b, "\t%s) %s; return ;;\n", strings.Join(quoteAll(c.name, spellings(f)), "|"), reply)
		}
	}
	b.WriteString("\tesac\n\tcase \"${COMP_WORDS[1]}\" in\n")
	for _, c := range all {
		words := c.words
		for _, f := range c.flags {
			words = append(words, spellings(f)...)
		}
		fmt.Fprintf(&b, "\t%s) words=\"%s\" ;;\n", c.name, strings.Join(words, " "))
	}
	b.WriteString(`	esac
	COMPREPLY=($(compgen -W "$words" -- "$current"))
	if [ "${COMP_WORDS[1]}" = load-data ] && [ "${current#-}" = "$current" ]; then
		COMPREPLY+=($(compgen -f -- "$current"))
	fi
}
complete -o filenames -F _httpdhs httpdhs
`)
	return b.String()
}

// spellings are the ways to write a flag.
func spellings(f *kong.Flag) []string {
	all := []string{"--" + f.Name}
	if f.Tag.Negatable != "" {
		all = append(all, "--no-"+f.Name)
	}
	if f.Short != 0 {
		all = append(all, "-"+string(f.Short))
	}
	return all
}

func quoteAll(command string, flags []string) []string {
	var out []string
	for _, f := range flags {
		out = append(out, fmt.Sprintf("%q", command+" "+f))
	}
	return out
}

func fishScript(all []completion) string {
	var b strings.Builder
	b.WriteString("# Completion of httpdhs for fish.\ncomplete -c httpdhs -f\n")
	for _, c := range all {
		fmt.Fprintf(&b, "complete -c httpdhs -n __fish_use_subcommand -a %s -d %s\n", c.name, fishQuote(c.help))
	}
	for _, c := range all {
		in := fishQuote("__fish_seen_subcommand_from " + c.name)
		if len(c.words) > 0 {
			fmt.Fprintf(&b, "complete -c httpdhs -n %s -a %s\n", in, fishQuote(strings.Join(c.words, " ")))
		}
		if c.name == "load-data" {
			fmt.Fprintf(&b, "complete -c httpdhs -n %s -F\n", in)
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c httpdhs -n %s -l %s", in, f.Name)
			if f.Short != 0 {
				fmt.Fprintf(&b, " -s %c", f.Short)
			}
			switch {
			case len(enumOf(f.Value)) > 0:
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(enumOf(f.Value), " ")))
			case takesFile(f):
				b.WriteString(" -r -F")
			case !f.IsBool():
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(f.Help))
			if f.Tag.Negatable != "" {
				fmt.Fprintf(&b, "complete -c httpdhs -n %s -l no-%s\n", in, f.Name)
			}
		}
	}
	return b.String()
}

// zsh reads bash's completions as they are. The script is sourced, or is a file _httpdhs in $fpath.
// Such a file is the body of the function _httpdhs, which completes as soon as it has defined how.
const (
	zshHead = `#compdef httpdhs
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
`
	zshTail = `[ "${funcstack[1]}" != _httpdhs ] || _bash_complete -o filenames -F _httpdhs
`
)

// fishQuote quotes for fish, where a quote takes only backslash and quote as
// special.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
