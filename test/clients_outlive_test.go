package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"golang.org/x/time/rate"

	"httpdhs/internal/poll"
)

// survivor is a client of the cluster that writes while a node dies and comes back. It keeps what
// was acknowledged.
type survivor struct {
	name string
	set  func(ctx context.Context, key, value string) error
	get  func(ctx context.Context, key string) (string, error)

	acked, failed atomic.Int64
	last          atomic.Value // the last error

	mu   sync.Mutex // guards keys
	keys []string
}

// survivorRate is how many writes a second a client tries. So there are not too many to read.
const survivorRate = 50

// work writes new keys until the context ends. An error is no acknowledgement, and the next key
// follows.
func (s *survivor) work(ctx context.Context) {
	pace := rate.NewLimiter(survivorRate, 1)
	for n := 0; pace.Wait(ctx) == nil; n++ {
		key := fmt.Sprintf("%s-%d", s.name, n)
		if err := s.set(ctx, key, "of "+key); err != nil {
			s.failed.Add(1)
			s.last.Store(err.Error())
			continue
		}
		s.mu.Lock()
		s.keys = append(s.keys, key)
		s.mu.Unlock()
		s.acked.Add(1)
	}
}

// check reads all that was acknowledged.
func (s *survivor) check(t *testing.T) {
	for _, key := range s.keys {
		if v, err := s.get(t.Context(), key); err != nil || v != "of "+key {
			t.Errorf("%s: %s was acknowledged, and is %q, %v", s.name, key, v, err)
		}
	}
	t.Logf("%s: %d writes were acknowledged, %d were not, the last with %v", s.name, s.acked.Load(), s.failed.Load(), s.last.Load())
}

func (f *redisFleet) survivors(t *testing.T) (all []*survivor) {
	add := func(name string, c redis.UniversalClient) {
		t.Cleanup(func() { _ = c.Close() })
		all = append(all, &survivor{
			name: name,
			set:  func(ctx context.Context, key, value string) error { return c.Set(ctx, key, value, 0).Err() },
			get:  func(ctx context.Context, key string) (string, error) { return c.Get(ctx, key).Result() },
		})
	}
	add("go-redis at a node", redis.NewClient(&redis.Options{Addr: f.addrs[0]}))
	add("go-redis", redis.NewClusterClient(&redis.ClusterOptions{Addrs: f.addrs, ClusterStateReloadInterval: refreshEvery}))
	add("go-redis resp2", redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: f.addrs[2:], Protocol: 2, ClusterStateReloadInterval: refreshEvery,
	}))
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: f.addrs, DisableCache: true, ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: refreshEvery},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return append(all, &survivor{
		name: "rueidis",
		set: func(ctx context.Context, key, value string) error {
			return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
		},
		get: func(ctx context.Context, key string) (string, error) {
			return c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
		},
	})
}

// commands is how many commands of clients node i has carried out since it was started.
func (f *redisFleet) commands(t *testing.T, i int) int64 {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: f.addrs[i], ReadTimeout: poll.Patience})
	defer c.Close()
	stats, err := c.InfoMap(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscan(stats["Stats"]["total_commands_processed"], &n); err != nil {
		t.Fatalf("INFO says %v: %v", stats, err)
	}
	return n
}

// Clients of a cluster learn all nodes from one, and spread over them. A node is killed and comes
// back empty: no acknowledged write is lost, clients go on, and they use the node again. Which
// errors they see meanwhile is their own affair.
func TestRedisClientsOutliveANode(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, "")
	survivors := f.survivors(t)
	scripts := f.startScripts(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	for _, s := range survivors {
		working.Go(func() { s.work(ctx) })
	}
	began := time.Now()
	goOn := func(when string, most int64) {
		t.Helper()
		defer func() { t.Logf("all go on %s, %s from the start", when, time.Since(began).Round(time.Millisecond)) }()
		for _, s := range survivors {
			f.clientGoesOn(s.name, when, most, s.acked.Load, s.last.Load)
		}
		for _, s := range scripts {
			f.clientGoesOn(s.name, when, most, s.acked, func() any { return s.tail() })
		}
	}
	goOn("at first", 50)
	for i := range f.addrs {
		if n := f.commands(t, i); n < 20 {
			t.Errorf("node %d has carried out %d commands: clients do not spread", i, n)
		}
	}
	f.kill9(1)
	goOn("when a node was killed", 50)
	f.awaitDown(1, 0, 2)
	goOn("while it is down", 50)
	f.start(1)
	f.awaitSettled(0, 1, 2)
	goOn("since it is back", 50)
	f.eventually("clients use the node that is back", func() error {
		if n := f.commands(t, 1); n < 100 {
			return fmt.Errorf("it has carried out %d commands", n)
		}
		return nil
	})
	stop()
	working.Wait()
	for _, s := range survivors {
		s.check(t)
	}
	for _, s := range scripts {
		s.finish(t)
	}
}

// clientGoesOn waits until a client has had more writes acknowledged.
func (f *redisFleet) clientGoesOn(name, when string, most int64, acked func() int64, last func() any) {
	f.t.Helper()
	first := acked()
	f.eventually(name+" goes on "+when, func() error {
		if n := acked() - first; n < most {
			return fmt.Errorf("%d writes, %v", n, last())
		}
		return nil
	})
}

// script is a program in another language that does what a survivor does. It writes until a file
// is there, and then reads all that was acknowledged.
type script struct {
	*command
	name, stop string
}

// startScripts starts those whose languages and libraries the machine has.
func (f *redisFleet) startScripts(t *testing.T) (all []*script) {
	for _, lang := range languages {
		if err := lang.missing(); err != nil {
			t.Logf("%s is left out: %v", lang.name, err)
			continue
		}
		s := &script{name: lang.name, stop: filepath.Join(t.TempDir(), "stop")}
		s.command = startCommand(t, append(f.scriptEnv(), "MODE=outlive", "STOP="+s.stop), lang.command...)
		all = append(all, s)
	}
	return all
}

// acked is how many writes the script says were acknowledged.
func (s *script) acked() (n int64) {
	for line := range linesOf(s.out.String()) {
		_, _ = fmt.Sscanf(line, "acked %d", &n)
	}
	return n
}

func (s *script) finish(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.wait(), s.saidOK()); err != nil {
		t.Errorf("%s: %v\n%s", s.name, err, s.tail())
	}
}

// tail is the end of what the script wrote.
func (s *script) tail() string {
	text := s.out.String()
	return text[max(0, len(text)-2000):] + s.err.String()
}
