package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"golang.org/x/net/netutil"

	"httpdhs/server"
)

const (
	// pprofConns bounds the connections of the profiler. They are files of the node: see connBound.
	pprofConns = 16

	pprofHeaderBytes = 16 << 10

	pprofReadTimeout  = 10 * time.Second
	pprofWriteTimeout = 30 * time.Second // and as long as is asked for by ?seconds=
	pprofIdleTimeout  = 10 * time.Second
)

// pprofServer serves net/http/pprof on an address of its own, so that it is
// never open to those who may use the store.
type pprofServer struct {
	addr net.Addr
	http http.Server
	done chan error
}

func servePprof(addr string, log *slog.Logger) (*pprofServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for pprof: %w; give another --pprof-addr", addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &pprofServer{
		addr: ln.Addr(),
		http: http.Server{
			Handler:        ownPages(fixedHosts(mux, ln.Addr())),
			ReadTimeout:    pprofReadTimeout,
			WriteTimeout:   pprofWriteTimeout,
			IdleTimeout:    pprofIdleTimeout,
			MaxHeaderBytes: pprofHeaderBytes,
			ErrorLog:       slog.NewLogLogger(log.With("listener", "pprof").Handler(), slog.LevelWarn),
		},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(netutil.LimitListener(ln, pprofConns)) }()
	return s, nil
}

// ownPages refuses what a page of another origin has a browser send. That the page may not read the
// answer is not enough: a profile costs time, even by GET.
func ownPages(h http.Handler) http.Handler {
	posts := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		foreign := posts.Check(r) != nil || slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), func(site string) bool {
			return site != "same-origin" && site != "none"
		})
		if foreign {
			http.Error(w, "a web page of another origin has sent this request: type the address, or use go tool pprof", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fixedHosts refuses, where only this machine is served, names that a web page
// could have lead here.
func fixedHosts(h http.Handler, addr net.Addr) http.Handler {
	if !isLoopback(addr) {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !server.FixedHost([]byte(r.Host)) {
			http.Error(w, "this Host may be a web page's name: use localhost or an IP address", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *pprofServer) close() error {
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
