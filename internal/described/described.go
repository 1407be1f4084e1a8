// Package described holds what a node was asked, and has answered, against its OpenAPI document.
// Tests use it: what they see has to be what the document says.
//
// Functions are safe for concurrent use.
package described

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"httpdhs/api"
)

// Document is the OpenAPI document. An error says what it breaks of OpenAPI 3.1.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(api.OpenAPI()))
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// Exchange is a request and its answer. A target is that of the request line.
type Exchange struct {
	Method, Target string
	Asked          http.Header
	Sent           string // the body

	Status   int
	Answered http.Header
	Got      string // the body
}

// Fault says what the document does not say of an exchange; nil: it says all of it. Of a request
// that was refused only the answer is looked at. Paths that are for nodes alone, or for a browser,
// are in no document.
func (e *Exchange) Fault() error {
	doc, err := Document()
	if err != nil {
		return err
	}
	if e.Method == http.MethodOptions {
		return nil // a question of a browser: no operation
	}
	path, query, _ := strings.Cut(e.Target, "?")
	if _, after, absolute := strings.Cut(path, "://"); absolute && !strings.HasPrefix(path, "/") {
		path = after[strings.IndexByte(after+"/", '/'):]
	}
	template, name, value := Template(path)
	item := doc.Paths.Value(template)
	if item == nil {
		if e.Status < 400 && !strings.HasPrefix(path, "/internal/") && !strings.HasPrefix(path, "/console/") {
			return fmt.Errorf("%s %s is answered with %d, and not described", e.Method, e.Target, e.Status)
		}
		return nil
	}
	op := item.GetOperation(e.Method)
	if op == nil {
		if e.Status < 400 && e.Method != http.MethodHead {
			return fmt.Errorf("%s of %s is answered with %d, and not described", e.Method, template, e.Status)
		}
		return nil
	}
	req := &http.Request{Method: e.Method, Header: e.Asked, URL: &url.URL{Path: path, RawQuery: query}, Body: io.NopCloser(strings.NewReader(e.Sent))}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: map[string]string{name: value},
		Route:   &routers.Route{Spec: doc, Path: template, PathItem: item, Method: e.Method, Operation: op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true},
	}
	if e.Status < 400 {
		err = openapi3filter.ValidateRequest(context.Background(), in)
	}
	return errors.Join(err, e.answerFault(in))
}

func (e *Exchange) answerFault(in *openapi3filter.RequestValidationInput) error {
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: e.Status, Header: e.Answered, Options: in.Options}
	out.Body = io.NopCloser(bytes.NewReader([]byte(e.Got)))
	if e.Method == http.MethodHead {
		out.Options = &openapi3filter.Options{ExcludeResponseBody: true, IncludeResponseStatus: true}
	}
	return openapi3filter.ValidateResponse(context.Background(), out)
}

// Template is the path of the document that a path is of, and the parameter in it, if there is one.
func Template(path string) (template, name, value string) {
	for _, t := range []struct{ prefix, name string }{{"/db/", "key"}, {"/cluster/key/", "key"}, {"/cluster/nodes/", "name"}} {
		if rest, ok := strings.CutPrefix(path, t.prefix); ok {
			return t.prefix + "{" + t.name + "}", t.name, rest
		}
	}
	return path, "", ""
}
