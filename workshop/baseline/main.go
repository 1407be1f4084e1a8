// Command baseline is what httpdhs is measured against. It is a bare fasthttp server behind
// fasthttp/router that speaks the requests of /db/{key} and stores nothing. What a store is slower
// than this by is what it costs.
//
//	GET /db/{key}   200 and 100 bytes, the same for every key
//	PUT /db/{key}   204, after the body was read
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

const (
	valueBytes      = 100
	shutdownTimeout = time.Second
)

func main() {
	port := flag.Int("port", 1234, "port to listen on; 0 takes a free one")
	bind := flag.String("bind", "127.0.0.1", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, net.JoinHostPort(*bind, strconv.Itoa(*port))); err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

// run serves on addr until ctx is done.
func run(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	s := &fasthttp.Server{Handler: routes(), NoDefaultServerHeader: true}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	// Connections that clients keep open are no reason to report a failure.
	if err = s.ShutdownWithContext(ctx); errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return errors.Join(err, <-served)
}

func routes() fasthttp.RequestHandler {
	value := bytes.Repeat([]byte("v"), valueBytes)
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.GET("/db/{key}", func(ctx *fasthttp.RequestCtx) { ctx.SetBody(value) })
	r.PUT("/db/{key}", func(ctx *fasthttp.RequestCtx) {
		_ = ctx.PostBody() // read, and forgotten
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	})
	return r.Handler
}
