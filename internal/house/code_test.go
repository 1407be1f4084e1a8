package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// source is a Go file.
type source struct {
	path              string // from the module's root, with slashes
	pkg               string // directory of path
	test              bool
	file              *ast.File
	imports           []string
	hasPackageComment bool // and not just a directive above its package clause
	lines             int
}

var fileSet = token.NewFileSet()

// read is all of the code, read once. It opens the files in this process rather than asking the go
// command, so that go test's cache sees them change.
var read = sync.OnceValues(func() (files []source, err error) {
	names, err := list(".go")
	for _, name := range names {
		body, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		f, err := parseText(name, body)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, err
})

func parseText(name string, body []byte) (source, error) {
	file, err := parser.ParseFile(fileSet, name, body, parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	f := source{
		path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: file,
		hasPackageComment: strings.TrimSpace(file.Doc.Text()) != "",
		lines:             bytes.Count(body, []byte("\n")),
	}
	for _, spec := range file.Imports {
		f.imports = append(f.imports, strings.Trim(spec.Path.Value, "`\""))
	}
	return f, nil
}

func sources(t *testing.T) []source {
	t.Helper()
	files, err := read()
	if err != nil || len(files) == 0 {
		t.Fatalf("%d Go files: %v", len(files), err)
	}
	return files
}

// list are the files with an ending, from the module's root.
func list(ending string) (files []string, err error) {
	root := filepath.Join("..", "..")
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch base := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (base == "testdata" || strings.HasPrefix(base, ".")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ending:
			return nil
		}
		rel, err := filepath.Rel(root, name)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}

func tree(t *testing.T, ending string) []string {
	t.Helper()
	files, err := list(ending)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files with %s: %v", len(files), ending, err)
	}
	return files
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tagOf(field *ast.Field) reflect.StructTag {
	text, _ := strconv.Unquote(field.Tag.Value)
	return reflect.StructTag(text)
}

func at(n ast.Node) string {
	p := fileSet.Position(n.Pos())
	return p.Filename + ":" + strconv.Itoa(p.Line)
}
