package rig

import (
	"os"
	"strings"
	"text/template"
)

// WritePage fills a template in and writes it to a file.
func WritePage(name, text string, page any) error {
	t, err := template.New("page").Parse(text)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := t.Execute(&b, page); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
