package testcluster

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"

	"httpdhs/api"
	"httpdhs/internal/poll"
)

// Response is the answer to a request, read to its end.
type Response struct {
	Status int // 0: there was none, and Err says why
	Header http.Header
	Body   string
	Err    error
}

// OK says whether the request was done.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

func newClient(config *tls.Config) *http.Client {
	return &http.Client{
		Timeout: poll.Patience,
		Transport: &http.Transport{
			TLSClientConfig:     config,
			MaxIdleConnsPerHost: 64,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do sends a request to node i. A header is a name and a value, one after the
// other. It is safe to call from any goroutine: what goes wrong is in the
// answer.
func (c *Cluster) Do(i int, method, path, body string, header ...string) Response {
	scheme := "http://"
	if c.opt.ClientTLS != nil {
		scheme = "https://"
	}
	var content io.Reader
	if body != "" {
		content = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequest(method, scheme+c.Name(i)+path, content)
	if err != nil {
		return Response{Err: err}
	}
	for h := 0; h+1 < len(header); h += 2 {
		req.Header.Set(header[h], header[h+1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return Response{Err: err}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: string(got), Err: err}
}

// Put stores a value through node i; the query is such as "?w=one", or empty.
func (c *Cluster) Put(i int, key, value, query string) Response {
	return c.Do(i, http.MethodPut, "/db/"+key+query, value)
}

// Get reads a key through node i.
func (c *Cluster) Get(i int, key string) Response {
	return c.Do(i, http.MethodGet, "/db/"+key, "")
}

// Key is what the owners of a key hold, as asked through node i.
func (c *Cluster) Key(i int, key string) (doc api.Key, err error) {
	resp := c.Do(i, http.MethodGet, "/cluster/key/"+key, "")
	if resp.Err != nil {
		return doc, resp.Err
	}
	return doc, json.Unmarshal([]byte(resp.Body), &doc)
}
