package node

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/netutil"

	"httpdhs/server"
)

const (
	// sideConns bounds the connections of a side port. They are files of the node: see connBound.
	sideConns = 16

	sideHeaderBytes = 16 << 10

	sideReadTimeout  = 10 * time.Second
	sideWriteTimeout = 30 * time.Second // and as long as a profile takes: ?seconds=
)

// sideServer serves what is for those who look after the node, on an address of its own, with
// connections that clients cannot take. Web pages of other origins are refused.
type sideServer struct {
	addr net.Addr
	http http.Server
	done chan error
}

// serveSide serves pages on ln, until close. Faults are logged under name. A connection is closed
// that asks for nothing for so long as idle.
func serveSide(ln net.Listener, name string, pages http.Handler, idle time.Duration, log *slog.Logger) *sideServer {
	s := &sideServer{
		addr: ln.Addr(),
		http: http.Server{
			Handler:        ownPages(fixedHosts(pages, ln.Addr())),
			ReadTimeout:    sideReadTimeout,
			WriteTimeout:   sideWriteTimeout,
			IdleTimeout:    idle,
			MaxHeaderBytes: sideHeaderBytes,
			ErrorLog:       slog.NewLogLogger(log.With("listener", name).Handler(), slog.LevelWarn),
		},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(netutil.LimitListener(ln, sideConns)) }()
	return s
}

// close ends a side server; nil: there is none.
func (s *sideServer) close() error {
	if s == nil {
		return nil
	}
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// ownPages refuses what a page of another origin has a browser send, whatever the method. That the
// page may not read the answer is not enough: a profile costs time, even by GET.
func ownPages(h http.Handler) http.Handler {
	posts := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		foreign := posts.Check(r) != nil || slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), func(site string) bool {
			return site != "same-origin" && site != "none"
		}) || slices.ContainsFunc(r.Header.Values("Origin"), func(origin string) bool {
			page, err := url.Parse(origin)
			return err != nil || page.Host != r.Host
		})
		if foreign {
			http.Error(w, "a web page of another origin has sent this request: type the address, or ask without a browser", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fixedHosts refuses, where only this machine is served, names that a web page
// could have led here.
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
