package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"httpdhs/server"
)

// pprofServer serves net/http/pprof on an address of its own, so that it is
// never open to those who may use the store.
type pprofServer struct {
	http http.Server
	done chan error
}

func servePprof(addr string) (*pprofServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s for pprof: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := &pprofServer{http: http.Server{Handler: fixedHosts(mux, ln.Addr()), ReadHeaderTimeout: 10 * time.Second}, done: make(chan error, 1)}
	go func() { s.done <- s.http.Serve(ln) }()
	return s, nil
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
