package api

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI is the document of GET /openapi.json: the HTTP interface as OpenAPI 3.1 describes it, in
// JSON.
func OpenAPI() string { return openAPI }
