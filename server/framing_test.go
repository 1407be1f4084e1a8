package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// put is a PUT with these header lines, as they are, and what follows them.
func put(lines, rest string) string {
	return "PUT /db/k HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n" + rest
}

// chunks is a PUT with a chunked body as it is.
func chunks(body string) string { return put("Transfer-Encoding: chunked\r\n", body) }

// misframed are requests that a proxy in front could read in another way than a node, and what
// they are answered with. The body is a byte, so that what is taken for one stores something.
var misframed = map[string]struct {
	bytes  string
	status int
}{
	// Line ends.
	"LF behind the request line":       {"PUT /db/k HTTP/1.1\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"LF behind a header":               {"PUT /db/k HTTP/1.1\r\nHost: x\nContent-Length: 1\r\n\r\nv", 400},
	"LF behind the last header":        {"PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\n\r\nv", 400},
	"LF as the empty line":             {"PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\nv", 400},
	"LF throughout":                    {"PUT /db/k HTTP/1.1\nHost: x\nContent-Length: 1\n\nv", 400},
	"LF in front":                      {"\nPUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"two empty lines in front":         {"\r\n\r\nPUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"CR in the request line":           {"PUT /db/k\r HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"CR behind the version":            {"PUT /db/k HTTP/1.1\r\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"CR in a value":                    {put("X: a\rb\r\nContent-Length: 1\r\n", "v"), 400},
	"CR at the end of a value":         {put("X: a\r\r\nContent-Length: 1\r\n", "v"), 400},
	"CR before a name":                 {put("\rX: a\r\nContent-Length: 1\r\n", "v"), 400},
	"CR as a line end":                 {"PUT /db/k HTTP/1.1\r\nHost: x\rContent-Length: 1\r\n\r\nv", 400},
	"LF before LF behind a chunk size": {chunks("1\n\r\nv\r\n0\r\n\r\n"), 400},

	// The request line.
	"HTTP/9.9":                      {"PUT /db/k HTTP/9.9\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 505},
	"HTTP/2.0":                      {"PUT /db/k HTTP/2.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 505},
	"HTTP/0.9":                      {"PUT /db/k HTTP/0.9\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 505},
	"the preface of HTTP/2":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	"HTTP/1.10":                     {"PUT /db/k HTTP/1.10\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"HTTP/11":                       {"PUT /db/k HTTP/11\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"http/1.1":                      {"PUT /db/k http/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"no version":                    {"PUT /db/k\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"another protocol":              {"PUT /db/k SIP/2.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a blank behind the version":    {"PUT /db/k HTTP/1.1 \r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"two blanks before the version": {"PUT /db/k  HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"two blanks before the target":  {"PUT  /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a tab before the target":       {"PUT\t/db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a blank in the target":         {"PUT /db/a b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a blank before the method":     {" PUT /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a control in the target":       {"PUT /db/a\x01b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a NUL in the target":           {"PUT /db/a\x00b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a method that is no token":     {"PU(T /db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"no target":                     {"PUT HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target without a slash":      {"PUT db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target without a host":       {"PUT http:///db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a user in the target":          {"PUT http://u@x/db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},

	// Headers.
	"a folded length":              {put("Content-Length:\r\n 1\r\n", "v"), 400},
	"a folded coding":              {put("Transfer-Encoding:\r\n chunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"a folded header of any name":  {put("X: a\r\n b\r\nContent-Length: 1\r\n", "v"), 400},
	"a header folded with a tab":   {put("X: a\r\n\tb\r\nContent-Length: 1\r\n", "v"), 400},
	"a fold of blanks alone":       {put("X: a\r\n \r\nContent-Length: 1\r\n", "v"), 400},
	"a folded Host":                {"PUT /db/k HTTP/1.1\r\nHost: x\r\n y\r\nContent-Length: 1\r\n\r\nv", 400},
	"a fold behind the request":    {"PUT /db/k HTTP/1.1\r\n Host: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a blank before the colon":     {put("Content-Length : 1\r\n", "v"), 400},
	"a tab before the colon":       {put("Content-Length\t: 1\r\n", "v"), 400},
	"a blank in a name":            {put("Content Length: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a blank in any name":          {put("X Y: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a blank before any colon":     {put("X : 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a name with a control":        {put("X\x0b: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a name with a NUL":            {put("X\x00: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a name beyond ASCII":          {put("X\xe4: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a name in quotes":             {put("\"X\": 1\r\nContent-Length: 1\r\n", "v"), 400},
	"no name":                      {put(": 1\r\nContent-Length: 1\r\n", "v"), 400},
	"no colon":                     {put("nonsense\r\nContent-Length: 1\r\n", "v"), 400},
	"a NUL in a value":             {put("X: a\x00b\r\nContent-Length: 1\r\n", "v"), 400},
	"a control in a value":         {put("X: a\x0cb\r\nContent-Length: 1\r\n", "v"), 400},
	"a DEL in a value":             {put("X: a\x7fb\r\nContent-Length: 1\r\n", "v"), 400},
	"no Host":                      {"PUT /db/k HTTP/1.1\r\nContent-Length: 1\r\n\r\nv", 400},
	"an empty Host":                {"PUT /db/k HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\n\r\nv", 400},
	"two Hosts":                    {put("Host: y\r\nContent-Length: 1\r\n", "v"), 400},
	"two equal Hosts":              {put("Host: x\r\nContent-Length: 1\r\n", "v"), 400},
	"two Hosts in HTTP/1.0":        {"PUT /db/k HTTP/1.0\r\nHost: x\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a Host of two names":          {"PUT /db/k HTTP/1.1\r\nHost: x, y\r\nContent-Length: 1\r\n\r\nv", 400},
	"a Host with a path":           {"PUT /db/k HTTP/1.1\r\nHost: x/y\r\nContent-Length: 1\r\n\r\nv", 400},
	"a Host with a user":           {"PUT /db/k HTTP/1.1\r\nHost: u@x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target with another host":   {"PUT http://y/db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target with another port":   {"PUT http://x:1/db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target with a longer host":  {"PUT http://x.y/db/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"another host, and a query":    {"PUT http://y?a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv", 400},
	"a target with a host alone":   {"PUT http://x/db/k HTTP/1.0\r\nContent-Length: 1\r\n\r\nv", 400},
	"no Host in HTTP/1.2":          {"PUT /db/k HTTP/1.2\r\nContent-Length: 1\r\n\r\nv", 400},
	"two lengths":                  {put("Content-Length: 1\r\nContent-Length: 2\r\n", "vv"), 400},
	"two equal lengths":            {put("Content-Length: 1\r\nContent-Length: 1\r\n", "v"), 400},
	"a list of lengths":            {put("Content-Length: 1, 1\r\n", "v"), 400},
	"a negative length":            {put("Content-Length: -1\r\n", "v"), 400},
	"a signed length":              {put("Content-Length: +1\r\n", "v"), 400},
	"a hexadecimal length":         {put("Content-Length: 0x1\r\n", "v"), 400},
	"a length with a blank":        {put("Content-Length: 1 0\r\n", "v"), 400},
	"a length with a fraction":     {put("Content-Length: 1.0\r\n", "v"), 400},
	"an empty length":              {put("Content-Length:\r\n", "v"), 400},
	"a length beyond all":          {put("Content-Length: 99999999999999999999\r\n", "v"), 400},
	"a length and chunks":          {put("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
	"chunks and a length":          {put("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"identity and a length":        {put("Transfer-Encoding: identity\r\nContent-Length: 1\r\n", "v"), 400},
	"identity":                     {put("Transfer-Encoding: identity\r\n", ""), 400},
	"chunked twice":                {put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked and identity":         {put("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"a list of codings":            {put("Transfer-Encoding: gzip, chunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked and nothing":          {put("Transfer-Encoding: chunked,\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked with a parameter":     {put("Transfer-Encoding: chunked;q=1\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked in quotes":            {put("Transfer-Encoding: \"chunked\"\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"an unknown coding":            {put("Transfer-Encoding: xchunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"an empty coding":              {put("Transfer-Encoding:\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked behind a control":     {put("Transfer-Encoding: \x0bchunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 400},
	"chunked in HTTP/1.0":          {"PUT /db/k HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n\r\n", 400},
	"chunked, HTTP/1.0, no length": {"PUT /db/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nv", 400},

	// Chunks.
	"no chunk size":                     {chunks("\r\nv\r\n0\r\n\r\n"), 400},
	"a chunk size that is none":         {chunks("zz\r\nv\r\n0\r\n\r\n"), 400},
	"a negative chunk size":             {chunks("-1\r\nv\r\n0\r\n\r\n"), 400},
	"a signed chunk size":               {chunks("+1\r\nv\r\n0\r\n\r\n"), 400},
	"a chunk size with 0x":              {chunks("0x1\r\nv\r\n0\r\n\r\n"), 400},
	"a chunk size with an underscore":   {chunks("0_1\r\nv\r\n0\r\n\r\n"), 400},
	"a chunk size beyond all":           {chunks("ffffffffffffffffff\r\nv\r\n0\r\n\r\n"), 400},
	"a chunk size that comes round":     {chunks("10000000000000001\r\nv\r\n0\r\n\r\n"), 400},
	"a blank before a chunk size":       {chunks(" 1\r\nv\r\n0\r\n\r\n"), 400},
	"a blank behind a chunk size":       {chunks("1 \r\nv\r\n0\r\n\r\n"), 400},
	"a tab behind a chunk size":         {chunks("1\t\r\nv\r\n0\r\n\r\n"), 400},
	"a blank before an extension":       {chunks("1 ;a=b\r\nv\r\n0\r\n\r\n"), 400},
	"LF behind a chunk size":            {chunks("1\nv\r\n0\r\n\r\n"), 400},
	"CR behind a chunk size":            {chunks("1\rv\r\n0\r\n\r\n"), 400},
	"LF behind a chunk":                 {chunks("1\r\nv\n0\r\n\r\n"), 400},
	"CR behind a chunk":                 {chunks("1\r\nv\r0\r\n\r\n"), 400},
	"nothing behind a chunk":            {chunks("1\r\nv0\r\n\r\n"), 400},
	"a chunk that is longer":            {chunks("1\r\nvv\r\n0\r\n\r\n"), 400},
	"a chunk that is shorter":           {chunks("3\r\nv\r\n0\r\n\r\n"), 400},
	"a NUL in an extension":             {chunks("1;a\x00b\r\nv\r\n0\r\n\r\n"), 400},
	"a NUL in an extension's value":     {chunks("1;a=\"\x00\"\r\nv\r\n0\r\n\r\n"), 400},
	"a control in an extension":         {chunks("1;a=\x1b\r\nv\r\n0\r\n\r\n"), 400},
	"LF in an extension":                {chunks("1;a\nb\r\nv\r\n0\r\n\r\n"), 400},
	"CR in an extension":                {chunks("1;a\rb\r\nv\r\n0\r\n\r\n"), 400},
	"an extension without a name":       {chunks("1;\r\nv\r\n0\r\n\r\n"), 400},
	"an extension with an open quote":   {chunks("1;a=\"b\r\nv\r\n0\r\n\r\n"), 400},
	"an extension beyond the bound":     {chunks("1;a=" + strings.Repeat("b", 2000) + "\r\nv\r\n0\r\n\r\n"), 400},
	"a last chunk that ends with LF":    {chunks("1\r\nv\r\n0\n\r\n"), 400},
	"a body that ends with LF":          {chunks("1\r\nv\r\n0\r\n\n"), 400},
	"a body that ends with CR":          {chunks("1\r\nv\r\n0\r\n\rX"), 400},
	"an extension of the last chunk":    {chunks("1\r\nv\r\n0;\x00\r\n\r\n"), 400},
	"LF behind a trailer":               {chunks("1\r\nv\r\n0\r\nX: y\n\r\n"), 400},
	"LF behind the last trailer":        {chunks("1\r\nv\r\n0\r\nX: y\r\n\n"), 400},
	"a folded trailer":                  {chunks("1\r\nv\r\n0\r\nX: y\r\n z\r\n\r\n"), 400},
	"a trailer that begins folded":      {chunks("1\r\nv\r\n0\r\n X: y\r\n\r\n"), 400},
	"a blank before a trailer's colon":  {chunks("1\r\nv\r\n0\r\nX : y\r\n\r\n"), 400},
	"a blank in a trailer's name":       {chunks("1\r\nv\r\n0\r\nX Y: z\r\n\r\n"), 400},
	"a NUL in a trailer":                {chunks("1\r\nv\r\n0\r\nX: \x00\r\n\r\n"), 400},
	"a CR in a trailer":                 {chunks("1\r\nv\r\n0\r\nX: a\rb\r\n\r\n"), 400},
	"a trailer without a colon":         {chunks("1\r\nv\r\n0\r\nnonsense\r\n\r\n"), 400},
	"a length in the trailer":           {chunks("1\r\nv\r\n0\r\nContent-Length: 1\r\n\r\n"), 400},
	"a coding in the trailer":           {chunks("1\r\nv\r\n0\r\ntransfer-encoding: chunked\r\n\r\n"), 400},
	"a Host in the trailer":             {chunks("1\r\nv\r\n0\r\nHost: y\r\n\r\n"), 400},
	"a trailer beyond the bound":        {chunks("1\r\nv\r\n0\r\nX: " + strings.Repeat("y", 30_000) + "\r\n\r\n"), 400},
	"trailers that are beyond together": {chunks("1\r\nv\r\n0\r\n" + strings.Repeat("X: yyyyyyyyyyyyyyyyyyyyyy\r\n", 1000) + "\r\n"), 400},
}

// wellFramed are requests that look odd and that every reader takes for the same.
var wellFramed = map[string]string{
	"plain":                          put("Content-Length: 1\r\n", "v"),
	"an empty line in front":         "\r\n" + put("Content-Length: 1\r\n", "v"),
	"no blank behind a colon":        put("Content-Length:1\r\n", "v"),
	"blanks around a value":          put("Content-Length: \t 1 \t \r\n", "v"),
	"a length with a leading zero":   put("Content-Length: 01\r\n", "v"),
	"an empty value":                 put("X:\r\nContent-Length: 1\r\n", "v"),
	"a value beyond ASCII":           put("X: \xe4\xff\r\nContent-Length: 1\r\n", "v"),
	"a tab in a value":               put("X: a\tb\r\nContent-Length: 1\r\n", "v"),
	"any case":                       put("content-LENGTH: 1\r\n", "v"),
	"HTTP/1.0":                       "PUT /db/k HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nv",
	"HTTP/1.2":                       "PUT /db/k HTTP/1.2\r\nHost: x\r\nContent-Length: 1\r\n\r\nv",
	"HTTP/1.9 with chunks":           "PUT /db/k HTTP/1.9\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n\r\n",
	"a Host with a port":             "PUT /db/k HTTP/1.1\r\nHost: [2001:db8::1]:1234\r\nContent-Length: 1\r\n\r\nv",
	"a target with its host":         "PUT http://X:1234/db/k HTTP/1.1\r\nHost: x:1234\r\nContent-Length: 1\r\n\r\nv",
	"a target beyond ASCII":          "PUT /db/\xe4 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv",
	"chunks":                         chunks("1\r\nv\r\n0\r\n\r\n"),
	"Chunked":                        put("Transfer-Encoding: Chunked\r\n", "1\r\nv\r\n0\r\n\r\n"),
	"sizes with leading zeros":       chunks("0001\r\nv\r\n000\r\n\r\n"),
	"extensions":                     chunks("1;a;b=c; d = \"e\\\"; \t\"\r\nv\r\n0;f\r\n\r\n"),
	"trailers":                       chunks("1\r\nv\r\n0\r\nX: y\r\nZ:\r\n\r\n"),
	"an expectation of HTTP/1.0":     "PUT /db/k HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nv",
	"an expectation, and a body":     put("Expect: 100-continue\r\nContent-Length: 1\r\n", "v"),
	"an expectation without a body":  put("Expect: 100-continue\r\nContent-Length: 0\r\n", ""),
	"an expectation that is unknown": put("Expect: a-miracle\r\nContent-Length: 1\r\n", "v"),
}

const behind = "PUT /db/behind HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv"

// What could be read in two ways is refused, its connection is closed, and nothing behind it is
// done. What only looks odd is done, and so is what is behind it.
func TestFraming(t *testing.T) {
	f := start(t, Options{})
	for name, c := range misframed {
		out := f.raw(c.bytes + behind)
		if !strings.HasPrefix(out, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(out, "\r\nConnection: close\r\n") ||
			!strings.Contains(out, `{"error":"`) || len(answers(out)) != 1 {
			t.Errorf("%s: want %d and the end: %q", name, c.status, out)
		}
		if f.store.size() != 0 {
			t.Errorf("%s: something was stored: %v", name, f.store.entries)
			clear(f.store.entries)
		}
	}
	// Where the body is not needed, it is read all the same.
	for _, head := range []string{"GET /db/k", "DELETE /db/k", "GET /healthz", "GET /db", "GET /cluster/key/k", "DELETE /cluster/nodes/down:1", "POST /cluster/leave", "PATCH /db/k", "GET /none"} {
		for name, body := range map[string]string{"fine": "0\r\n\r\n", "ends with LF": "0\r\n\n", "a folded trailer": "0\r\nX: y\r\n z\r\n\r\n", "no chunk": "zz\r\n"} {
			out := f.raw(head + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body + behind)
			got := answers(out)
			if fine := name == "fine"; fine != (len(got) == 2) || fine != (f.store.size() > 0) || !fine && (got[0][0] != '4') {
				t.Errorf("%s, %s: %v: %q", head, name, got, out)
			}
			clear(f.store.entries)
		}
	}
	if len(f.cluster.removed) != 1 || f.cluster.left != 1 {
		t.Errorf("a malformed request was carried out: %+v", f.cluster)
	}
	for name, in := range wellFramed {
		out := f.raw(in + behind)
		if got := fmt.Sprint(answers(out)); got != "[201 201]" || strings.Contains(out, "\r\nConnection: close\r\n") {
			t.Errorf("%s: %s: %q", name, got, out)
		}
		clear(f.store.entries)
	}
	if n := f.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// A host is a name or an address, and perhaps a port, in a Host header and in a target. What is
// taken for one is one for the router too; what is not is refused with every path.
func TestHosts(t *testing.T) {
	f := start(t, Options{})
	paths := []string{"/db?prefix=", "/db/k", "/healthz", "/cluster"}
	for _, host := range []string{"x", "x:1", "x:", "a.b.c:65535", "a_b-c.d~e", "1.2.3.4", "1.2.3.4:80", "[::1]", "[::1]:", "[::1]:80", "[2001:db8::1]:1", "X.", "xn--bcher-kva.example"} {
		for _, path := range paths {
			for _, target := range []string{path, "http://" + host + path} {
				out := f.raw("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
				if want := map[bool]string{true: "[404]", false: "[200]"}[path == "/db/k"]; fmt.Sprint(answers(out)) != want {
					t.Errorf("GET %s, Host %q: %s", target, host, out)
				}
			}
		}
	}
	bad := []string{"localhost:evil.com", "a:b.com", "a:b:c", "::1", "[", "]", "[]", "[::1", "::1]", "[::1]x", "[1.2.3.4]", "[::1%25en0]", "[::1%en0]", "[v1.x]", "[x]:1",
		":1234", ":", "a:-1", "a:123456", "a:1a", "a%41", "a%zz", "a b", "a,b", "a;b", "a=b", "a'b", "(a)", "a+b", "a&b", "a!b", "$a", "*", "\xe4"}
	for _, host := range bad {
		for _, path := range paths {
			for _, in := range []string{"GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "GET http://" + host + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
				"GET http://" + host + path + " HTTP/1.1\r\nHost: x\r\n\r\n"} {
				if out := f.raw(in + behind); fmt.Sprint(answers(out)) != "[400]" {
					t.Errorf("%q: %s", in, out)
				}
			}
		}
	}
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.1 (\d+) [A-Z].*\r\nServer: `)

// answers are the statuses in what a server has sent.
func answers(out string) (statuses []string) {
	for _, m := range statusLine.FindAllStringSubmatch(out, -1) {
		statuses = append(statuses, m[1])
	}
	return statuses
}

// scriptConn is a client that sends pieces, each for one Read, and then nothing more.
type scriptConn struct {
	repeatConn
	pieces [][]byte
	out    bytes.Buffer
}

func (c *scriptConn) Read(p []byte) (int, error) {
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

func (c *scriptConn) Write(p []byte) (int, error) { return c.out.Write(p) }

var _ net.Conn = (*scriptConn)(nil)

// It makes no difference how the bytes of a request arrive: wherever they are cut, the answers
// are the same.
func TestFramingAtAllCuts(t *testing.T) {
	store := newFakeStore()
	s := New(Options{}, store, &fakeCluster{}, fakePeers{})
	tell := func(pieces ...[]byte) string {
		clear(store.entries)
		client := &scriptConn{pieces: pieces}
		c := newConn(s, client)
		_ = c.serve()
		c.release()
		return fmt.Sprint(answers(client.out.String()), len(store.entries))
	}
	all := make(map[string]string)
	for name, c := range misframed {
		all[name] = c.bytes + behind
	}
	for name, in := range wellFramed {
		all[name] = in + behind
	}
	for name, in := range all {
		want := tell([]byte(in))
		single := make([][]byte, len(in))
		for i := range in {
			single[i] = []byte(in[i : i+1])
			if i > 300 { // the rest is more of the same
				single[i] = []byte(in[i:])
				single = single[:i+1]
				break
			}
			if got := tell([]byte(in[:i]), []byte(in[i:])); i > 0 && got != want {
				t.Errorf("%s: cut at %d: %s, want %s", name, i, got, want)
			}
		}
		if got := tell(single...); got != want {
			t.Errorf("%s: byte for byte: %s, want %s", name, got, want)
		}
	}
}
