package resp

import (
	"fmt"
	"strings"
)

// scriptBytesMax bounds the text of a script that is looked at.
const scriptBytesMax = 4 << 10

// normalScript is a script of Lua in one form, so that scripts that differ in what does not matter
// are equal: blanks, comments, quotes, the case of commands, names of variables, parentheses around
// a condition. It is "" for what is no script of a lock in any form.
func normalScript(text []byte) string {
	if len(text) > scriptBytesMax {
		return ""
	}
	tokens, ok := luaTokens(string(text))
	if !ok {
		return ""
	}
	return strings.Join(renamed(bareConditions(tokens)), " ")
}

// luaTokens splits a script. A string begins with a quote, and has no other.
func luaTokens(text string) (tokens []string, ok bool) {
	for len(text) > 0 {
		switch c := text[0]; {
		case strings.IndexByte(" \t\r\n;", c) >= 0:
			text = text[1:]
		case strings.HasPrefix(text, "--[["):
			_, rest, closed := strings.Cut(text, "]]")
			if !closed {
				return nil, false
			}
			text = rest
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case c == '"' || c == '\'':
			body, rest, closed := strings.Cut(text[1:], string(c))
			if !closed || strings.ContainsAny(body, "\\\n\"'") {
				return nil, false
			}
			tokens, text = append(tokens, "'"+commandWord(tokens, body)), rest
		case isWord(c):
			n := 1
			for n < len(text) && isWord(text[n]) {
				n++
			}
			tokens, text = append(tokens, sameWord(text[:n])), text[n:]
		case strings.HasPrefix(text, "==") || strings.HasPrefix(text, "~="):
			tokens, text = append(tokens, text[:2]), text[2:]
		default:
			tokens, text = append(tokens, text[:1]), text[1:]
		}
	}
	return tokens, true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// sameWord is a word that means the same. The commands of a lock do not fail where pcall would
// help.
func sameWord(word string) string {
	if word == "pcall" {
		return "call"
	}
	return word
}

// commandWord is a string as Redis understands it as a part of a command, if it is one.
func commandWord(before []string, word string) string {
	if n := len(before); n == 0 || before[n-1] != "(" && before[n-1] != "," {
		return word
	}
	if word = strings.ToLower(word); word == "unlink" {
		return "del"
	}
	return word
}

// bareConditions drops the parentheses around all of a condition.
func bareConditions(tokens []string) []string {
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i] != "if" && tokens[i] != "elseif" || tokens[i+1] != "(" {
			continue
		}
		end, depth := i+1, 0
		for ; end < len(tokens); end++ {
			if tokens[end] == "(" {
				depth++
			} else if tokens[end] == ")" {
				depth--
			}
			if depth == 0 {
				break
			}
		}
		if end+1 < len(tokens) && tokens[end+1] == "then" {
			tokens = append(append(tokens[:i+1:i+1], tokens[i+2:end]...), tokens[end+1:]...)
		}
	}
	return tokens
}

// renamed gives local variables names by their order.
func renamed(tokens []string) []string {
	names := make(map[string]string)
	for i, token := range tokens {
		if i > 0 && tokens[i-1] == "local" && isWord(token[0]) {
			names[token] = fmt.Sprintf("$%d", len(names))
		}
		if name, ok := names[token]; ok {
			tokens[i] = name
		}
	}
	return tokens
}
