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

const (
	metricsIdleTimeout = 2 * time.Minute // longer than the usual time between two scrapes

	headerNode = "X-Dht-Node" // as the answers of the other port have it
)

// serveMetrics serves /metrics on addr, and how the node is, whose name is on its answers. With a
// metricsToken, /metrics wants that or the authToken.
func serveMetrics(addr, node string, metrics, health http.Handler, log *slog.Logger, metricsToken, authToken string) (*sideServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for metrics: %w; give another --metrics-port, or --bind", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", withToken(metrics, metricsToken, authToken))
	mux.Handle("/healthz", health)
	mux.Handle("/readyz", health)
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerNode, node)
		mux.ServeHTTP(w, r)
	})
	return serveSide(ln, "metrics", pages, metricsIdleTimeout, log), nil
}

// withToken refuses requests that carry neither token. Without a metricsToken nothing is asked for;
// without an authToken there is just the other.
func withToken(h http.Handler, metricsToken, authToken string) http.Handler {
	if metricsToken == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		for _, token := range [...]string{metricsToken, authToken} {
			if token != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1 {
				h.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="httpdhs metrics"`)
		http.Error(w, "a token is needed: send the header Authorization: Bearer TOKEN, with that of --metrics-token-file", http.StatusUnauthorized)
	})
}
