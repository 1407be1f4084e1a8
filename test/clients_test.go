package test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"httpdhs/internal/poll"
)

// redisFleet is nodes that speak the protocol of Redis as well.
type redisFleet struct {
	*fleet
	addrs []string // at which they do
	token string   // which is the password
}

// clientsToken is the password of a fleet that asks for one.
const clientsToken = "open-sesame"

// newRedisFleet runs three such nodes, and waits until all of them serve.
func newRedisFleet(t *testing.T, token string) *redisFleet {
	t.Helper()
	f := &redisFleet{fleet: newFleet(t, 3, "--replicas=2"), token: token}
	if token != "" {
		file := filepath.Join(f.dir, "token")
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.flags = append(f.flags, "--auth-token-file="+file)
	}
	conf := f.conf(0, 1, 2)
	for i := range f.ships {
		port := fmt.Sprint(freePort(t))
		f.addrs = append(f.addrs, "127.0.0.1:"+port)
		f.start(i, conf, "--resp-port="+port)
	}
	for i := range f.ships {
		f.eventually("a node is ready", func() error { return f.isReady(i) })
	}
	if token == "" { // GET /cluster would ask for it
		f.awaitSettled(0, 1, 2)
	}
	return f
}

// ports are those of the nodes.
func (f *redisFleet) ports() (ports []string) {
	for _, addr := range f.addrs {
		_, port, _ := net.SplitHostPort(addr)
		ports = append(ports, port)
	}
	return ports
}

// noisy is a value that only a client that takes any bytes gets back.
func noisy() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return "\r\n$5\r\n" + string(all) + "\x00ä\r\n"
}

// clientKeys are the keys that a client finds by SCAN.
func clientKeys(prefix string) (keys []string) {
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("%s:%03d", prefix, i))
	}
	return keys
}

// The text of a lock's release, as the documentation of Redis has it.
const releaseText = `if redis.call("get",KEYS[1]) == ARGV[1] then
    return redis.call("del",KEYS[1])
else
    return 0
end`

// go-redis does with a node what it does with Redis: in both versions of the protocol, with a
// password, and through the client of one node as through that of a cluster.
func TestGoRedis(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, clientsToken)
	for _, protocol := range []int{2, 3} {
		for name, open := range map[string]func() redis.UniversalClient{
			"node": func() redis.UniversalClient {
				return redis.NewClient(&redis.Options{Addr: f.addrs[protocol%3], Password: f.token, Protocol: protocol, ReadTimeout: poll.Patience})
			},
			"cluster": func() redis.UniversalClient {
				return redis.NewClusterClient(&redis.ClusterOptions{Addrs: f.addrs, Password: f.token, Protocol: protocol, ReadTimeout: poll.Patience})
			},
		} {
			t.Run(fmt.Sprint(name, protocol), func(t *testing.T) {
				t.Parallel()
				c := open()
				t.Cleanup(func() { _ = c.Close() })
				useGoRedis(t, c, fmt.Sprint("goredis-", name, protocol))
			})
		}
	}
	c := redis.NewClient(&redis.Options{Addr: f.addrs[0], Password: "another"})
	defer c.Close()
	if err := c.Get(t.Context(), "k").Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("with another password: %v", err)
	}
}

func useGoRedis(t *testing.T, c redis.UniversalClient, prefix string) {
	ctx, key := t.Context(), func(name string) string { return prefix + "-" + name }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Set(ctx, key("binary"), noisy(), 0).Err())
	if v, err := c.Get(ctx, key("binary")).Result(); err != nil || v != noisy() {
		t.Errorf("a binary value comes back as %q, %v", v, err)
	}
	if err := c.Get(ctx, key("none")).Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("a key that there is not: %v", err)
	}
	must(c.Set(ctx, key("ttl"), "v", time.Hour).Err())
	if left, err := c.TTL(ctx, key("ttl")).Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("TTL: %s, %v", left, err)
	}
	if n, err := c.IncrBy(ctx, key("n"), 41).Result(); err != nil || n != 41 {
		t.Errorf("INCRBY: %d, %v", n, err)
	}
	if n, err := c.Incr(ctx, key("n")).Result(); err != nil || n != 42 {
		t.Errorf("INCR: %d, %v", n, err)
	}
	want := clientKeys(prefix + "-scan")
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range want {
			p.Set(ctx, k, k, 0)
		}
		return nil
	})
	must(err)
	var got []string
	scan := func(it *redis.ScanIterator) error {
		for it.Next(ctx) {
			got = append(got, it.Val())
		}
		return it.Err()
	}
	// Any node lists all keys. SCAN of a cluster's client asks one of them.
	must(scan(c.Scan(ctx, 0, prefix+"-scan:*", 100).Iterator()))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("SCAN finds %d keys, want each of %d once", len(got), len(want))
	}
	values, err := c.MGet(ctx, want...).Result()
	if err != nil || len(values) != len(want) || values[7] != want[7] {
		t.Errorf("MGET: %d values, %v", len(values), err)
	}
	useGoRedisLock(t, c, key("lock"))
	cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, key("tx"), "1", 0)
		p.Incr(ctx, key("tx"))
		return nil
	})
	if err != nil || len(cmds) != 2 || cmds[1].(*redis.IntCmd).Val() != 2 {
		t.Errorf("MULTI: %v, %v", cmds, err)
	}
}

// useGoRedisLock takes a lock and lets it go, as the documentation of Redis has it.
func useGoRedisLock(t *testing.T, c redis.UniversalClient, lock string) {
	ctx, release := t.Context(), redis.NewScript(releaseText)
	for i, want := range []bool{true, false} {
		if ok, err := c.SetNX(ctx, lock, fmt.Sprint("holder", i), time.Hour).Result(); err != nil || ok != want {
			t.Errorf("holder %d takes the lock: %t, %v", i, ok, err)
		}
	}
	for i, want := range map[int]int{1: 0, 0: 1} {
		if n, err := release.Run(ctx, c, []string{lock}, fmt.Sprint("holder", i)).Int(); err != nil || n != want {
			t.Errorf("holder %d lets the lock go: %d, %v", i, n, err)
		}
	}
}

// rueidis does with nodes what it does with Redis: in both versions of the protocol, with a
// password, and as a client of one node and of the cluster.
func TestRueidis(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, clientsToken)
	for _, resp2 := range []bool{true, false} {
		for _, single := range []bool{true, false} {
			t.Run(fmt.Sprintf("resp2=%t,single=%t", resp2, single), func(t *testing.T) {
				t.Parallel()
				addrs := f.addrs
				if single {
					addrs = addrs[1:2]
				}
				c, err := rueidis.NewClient(rueidis.ClientOption{
					InitAddress: addrs, Password: f.token, AlwaysRESP2: resp2, ForceSingleClient: single,
					DisableCache: true, ConnWriteTimeout: poll.Patience,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				if nodes := len(c.Nodes()); !single && nodes != 3 {
					t.Errorf("the client knows %d nodes", nodes)
				}
				useRueidis(t, c, fmt.Sprintf("rueidis-%t-%t", resp2, single))
			})
		}
	}
}

func useRueidis(t *testing.T, c rueidis.Client, prefix string) {
	ctx, key := t.Context(), func(name string) string { return prefix + "-" + name }
	do := func(args ...string) rueidis.RedisResult {
		return c.Do(ctx, c.B().Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build())
	}
	if err := do("SET", key("binary"), noisy()).Error(); err != nil {
		t.Fatal(err)
	}
	if v, err := do("GET", key("binary")).ToString(); err != nil || v != noisy() {
		t.Errorf("a binary value comes back as %q, %v", v, err)
	}
	if err := do("GET", key("none")).Error(); !rueidis.IsRedisNil(err) {
		t.Errorf("a key that there is not: %v", err)
	}
	if err := do("SET", key("ttl"), "v", "EX", "3600").Error(); err != nil {
		t.Error(err)
	}
	if left, err := do("TTL", key("ttl")).AsInt64(); err != nil || left < 1 || left > 3600 {
		t.Errorf("TTL: %d, %v", left, err)
	}
	if n, err := do("INCRBY", key("n"), "42").AsInt64(); err != nil || n != 42 {
		t.Errorf("INCRBY: %d, %v", n, err)
	}
	want := clientKeys(prefix + "-scan")
	var sets rueidis.Commands
	for _, k := range want {
		sets = append(sets, c.B().Set().Key(k).Value(k).Build())
	}
	for _, r := range c.DoMulti(ctx, sets...) {
		if err := r.Error(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, node := range c.Nodes() { // any one lists all keys
		for page := uint64(0); ; {
			e, err := node.Do(ctx, node.B().Scan().Cursor(page).Match(prefix+"-scan:*").Count(100).Build()).AsScanEntry()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Elements...)
			if page = e.Cursor; page == 0 {
				break
			}
		}
		break
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("SCAN finds %d keys, want each of %d once", len(got), len(want))
	}
	for i, want := range []bool{true, false} {
		err := do("SET", key("lock"), fmt.Sprint("holder", i), "NX", "PX", "3600000").Error()
		if want != (err == nil) || err != nil && !rueidis.IsRedisNil(err) {
			t.Errorf("holder %d takes the lock: %v", i, err)
		}
	}
	release := rueidis.NewLuaScript(releaseText)
	for i, want := range map[int]int64{1: 0, 0: 1} {
		if n, err := release.Exec(ctx, c, []string{key("lock")}, []string{fmt.Sprint("holder", i)}).AsInt64(); err != nil || n != want {
			t.Errorf("holder %d lets the lock go: %d, %v", i, n, err)
		}
	}
	useRueidisTx(t, c, key("{tx}"))
}

func useRueidisTx(t *testing.T, c rueidis.Client, key string) {
	err := c.Dedicated(func(c rueidis.DedicatedClient) error {
		answers := c.DoMulti(t.Context(), c.B().Multi().Build(), c.B().Set().Key(key).Value("1").Build(),
			c.B().Incr().Key(key).Build(), c.B().Exec().Build())
		results, err := answers[3].ToArray()
		if err != nil {
			return err
		}
		if n, err := results[1].AsInt64(); err != nil || n != 2 {
			return fmt.Errorf("INCR within MULTI: %d, %w", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What one protocol writes the other reads: the value, its end, and its absence.
func TestBothProtocolsAreOneMap(t *testing.T) {
	t.Parallel()
	f := newRedisFleet(t, "")
	over := &cluster{ports: []int{0, 0, 0}}
	for i := range f.ships {
		_, _ = fmt.Sscanf(f.ships[i].ask, "127.0.0.1:%d", &over.ports[i])
	}
	c := redis.NewClient(&redis.Options{Addr: f.addrs[0], ReadTimeout: poll.Patience})
	defer c.Close()
	ctx := t.Context()
	if a := over.do(1, "PUT", "/db/both?w=all&ttl=1h", noisy()); a.status != 201 {
		t.Fatalf("PUT: %d %s", a.status, a.body)
	}
	if v, err := c.Get(ctx, "both").Result(); err != nil || v != noisy() {
		t.Errorf("GET finds %q, %v", v, err)
	}
	if left, err := c.TTL(ctx, "both").Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("TTL finds %s, %v", left, err)
	}
	if err := c.Append(ctx, "both", "!").Err(); err != nil {
		t.Error(err)
	}
	if a := over.do(2, "GET", "/db/both", ""); a.status != 200 || !bytes.Equal(a.body, []byte(noisy()+"!")) || a.header.Get("Expires") == "" {
		t.Errorf("GET: %d %v", a.status, a.header)
	}
	if n, err := c.Del(ctx, "both").Result(); err != nil || n != 1 {
		t.Errorf("DEL: %d, %v", n, err)
	}
	if a := over.do(2, "GET", "/db/both", ""); a.status != 404 {
		t.Errorf("GET of what DEL deleted: %d", a.status)
	}
	view, err := f.view(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range view.Nodes {
		if !slices.Contains(f.addrs, n.Resp) {
			t.Errorf("node %d speaks the protocol of Redis at %q", i, n.Resp)
		}
	}
}
