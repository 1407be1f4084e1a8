package node

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

const metricsIdleTimeout = 2 * time.Minute // longer than the usual time between two scrapes

// serveMetrics serves /metrics on addr, and how the node is. With a token, /metrics wants one of
// the tokens that are not empty.
func serveMetrics(addr string, metrics, health http.Handler, log *slog.Logger, tokens ...string) (*sideServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for metrics: %w; give another --metrics-port, or --bind", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", withToken(metrics, tokens))
	mux.Handle("/", health)
	return serveSide(ln, "metrics", mux, metricsIdleTimeout, log), nil
}

// withToken refuses requests that carry none of the tokens. Empty ones are none, and without a
// first one nothing is asked for.
func withToken(h http.Handler, tokens []string) http.Handler {
	if tokens[0] == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		for _, token := range tokens {
			if token != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1 {
				h.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="httpdhs metrics"`)
		http.Error(w, "a token is needed: send the header Authorization: Bearer TOKEN, with that of --metrics-token-file", http.StatusUnauthorized)
	})
}
