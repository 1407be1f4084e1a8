package house

import (
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

// parsed is a Go file with its code.
type parsed struct {
	path string // from the module's root, with slashes
	pkg  string // directory of path
	test bool
	file *ast.File
}

var fileSet = token.NewFileSet()

// read is all of the code, read once.
var read = sync.OnceValues(func() (files []parsed, err error) {
	list, err := list(".go")
	for _, name := range list {
		file, err := parser.ParseFile(fileSet, filepath.Join("..", "..", name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, parsed{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), file})
	}
	return files, err
})

func code(t *testing.T) []parsed {
	t.Helper()
	files, err := read()
	if err != nil {
		t.Fatal(err)
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
	return strings.TrimPrefix(filepath.ToSlash(p.Filename), "../../") + ":" + strconv.Itoa(p.Line)
}
