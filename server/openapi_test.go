package server

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/valyala/fasthttp"

	"httpdhs/api"
	"httpdhs/internal/described"
)

// description is the OpenAPI document.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := described.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The description is what OpenAPI 3.1 takes. It is served to all, with an entity tag.
func TestDescriptionIsServed(t *testing.T) {
	doc := description(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("it is of version %s", doc.OpenAPI)
	}
	f := start(t, Options{AuthToken: "t"})
	a := f.send("GET", "/openapi.json", "")
	a.want(t, 200)
	if a.body != api.OpenAPI() || !json.Valid([]byte(a.body)) {
		t.Errorf("it has %d bytes, want %d", len(a.body), len(api.OpenAPI()))
	}
	f.send("GET", "/openapi.json", "", "If-None-Match: "+a.header.Get("ETag")).want(t, 304)
}

// Each path and method of the node is described, and each that is described is there.
func TestDescriptionHasAllPaths(t *testing.T) {
	doc := description(t)
	f := start(t, Options{Metrics: func(*fasthttp.RequestCtx) {}})
	routes := map[string][]string{
		"/db/{key}":             {"DELETE", "GET", "HEAD", "POST", "PUT"},
		"/cluster/key/{key}":    {"GET", "HEAD"},
		"/cluster/nodes/{name}": {"DELETE"},
	}
	for method, paths := range f.routes.others.List() {
		for _, path := range paths {
			routes[path] = append(routes[path], method)
		}
	}
	for path, methods := range routes {
		if strings.HasPrefix(path, "/internal/") || strings.HasPrefix(path, "/console/") {
			continue // for nodes, and for the console's page
		}
		item := doc.Paths.Value(path)
		if item == nil {
			t.Errorf("%s is not described", path)
			continue
		}
		for _, method := range methods {
			if method != http.MethodHead && item.GetOperation(method) == nil {
				t.Errorf("%s %s is not described", method, path)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !slices.Contains(routes[path], method) {
				t.Errorf("%s %s is described, and not there", method, path)
			}
		}
	}
}

// The parameters that a request may have are those that are described.
func TestDescriptionHasAllParameters(t *testing.T) {
	doc := description(t)
	f := start(t, Options{})
	of := func(path, method string) (names []string) {
		item := doc.Paths.Value(path)
		for _, p := range slices.Concat(item.Parameters, item.GetOperation(method).Parameters) {
			if p.Value.In == "query" {
				names = append(names, p.Value.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			target := strings.NewReplacer("{key}", "k", "{name}", "n:1").Replace(path)
			a := f.send(method, target+"?nonsense=1", "")
			_, list, found := strings.Cut(a.body, "this request takes ")
			if !found || strings.HasPrefix(list, "none") {
				if got := of(path, method); found && len(got) > 0 {
					t.Errorf("%s %s takes none, and is described with %q", method, path, got)
				}
				continue
			}
			list, _, _ = strings.Cut(list, `"`)
			takes := strings.Split(list, ", ")
			slices.Sort(takes)
			if got := of(path, method); !slices.Equal(got, takes) {
				t.Errorf("%s %s takes %q, and is described with %q", method, path, takes, got)
			}
		}
	}
}

// The documents of the API are described with each of their members, and no other.
func TestDescriptionHasAllMembers(t *testing.T) {
	doc := description(t)
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of.PkgPath() != reflect.TypeFor[api.Cluster]().PkgPath() || seen[of] {
			return
		}
		seen[of] = true
		schema := doc.Components.Schemas[of.Name()]
		if schema == nil {
			t.Errorf("%s is not described", of.Name())
			return
		}
		var members []string
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			members = append(members, name)
			if schema.Value.Properties[name] == nil {
				t.Errorf("%s of %s is not described", name, of.Name())
			}
			look(of.Field(i).Type)
		}
		for name := range schema.Value.Properties {
			if !slices.Contains(members, name) {
				t.Errorf("%s has no member %s", of.Name(), name)
			}
		}
	}
	for _, v := range []any{
		api.Cluster{}, api.Stats{}, api.Ring{}, api.Key{}, api.SafeToStop{}, api.Leaving{}, api.Recovery{}, api.Ready{},
		api.Error{}, api.Cleared{}, api.LoadResult{},
	} {
		look(reflect.TypeOf(v))
	}
}
