package node

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// metricsConns bounds the connections of the metrics port. They are files of the node: see
	// connBound.
	metricsConns = 16

	metricsHeaderBytes = 16 << 10

	metricsReadTimeout  = 10 * time.Second
	metricsWriteTimeout = 30 * time.Second
	metricsIdleTimeout  = 2 * time.Minute // longer than the usual time between two scrapes
)

// metricsServer serves what a monitoring system asks for on an address of its own, with connections
// that clients cannot take.
type metricsServer struct {
	addr net.Addr
	http http.Server
	done chan error
}

// serveMetrics serves /metrics, /healthz and /readyz on addr. With a token, /metrics wants one of
// the tokens that are not empty.
func serveMetrics(addr string, metrics http.Handler, ready func() (bool, string), log *slog.Logger, tokens ...string) (*metricsServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for metrics: %w; give another --metrics-port, or --bind", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", withToken(metrics, tokens))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ok, reason := ready(); !ok {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	s := &metricsServer{
		addr: ln.Addr(),
		http: http.Server{
			Handler:        ownPages(fixedHosts(mux, ln.Addr())),
			ReadTimeout:    metricsReadTimeout,
			WriteTimeout:   metricsWriteTimeout,
			IdleTimeout:    metricsIdleTimeout,
			MaxHeaderBytes: metricsHeaderBytes,
			ErrorLog:       slog.NewLogLogger(log.With("listener", "metrics").Handler(), slog.LevelWarn),
		},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(netutil.LimitListener(ln, metricsConns)) }()
	return s, nil
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

func (s *metricsServer) close() error {
	if s == nil {
		return nil
	}
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
