package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"httpdhs/api"
	"httpdhs/internal/history"
	"httpdhs/internal/poll"
)

// patiently waits for something that has to become so, and tells if it does not. It returns how
// long that took, and what was the matter last.
func (x *chaos) patiently(property string, cond func() error) (took time.Duration, last error) {
	began := time.Now()
	starved, end := x.wasStarved(), began.Add(3*time.Minute)
	more := func() bool {
		if now := x.wasStarved(); now > starved && time.Since(began) < 10*time.Minute {
			starved, end = now, time.Now().Add(3*time.Minute)
		}
		return time.Now().Before(end)
	}
	err := poll.While(more, func() error {
		err := cond()
		if err != nil {
			last = err
		}
		return err
	})
	if took = time.Since(began).Round(time.Millisecond); err == nil {
		x.slowest[property] = max(x.slowest[property], took)
		return took, last
	}
	x.rests = false
	x.blame(property, "it is not so after %v: %v", took, last)
	return took, last
}

// rest waits until the cluster is at rest, and has been for longer than nodes take to find that it
// is not.
func (x *chaos) rest() time.Duration {
	const hearTime = 2 * time.Second
	since := time.Now()
	took, _ := x.patiently("rest", func() error {
		err := x.resting()
		if err != nil {
			since = time.Now()
			return err
		}
		if time.Since(since) < hearTime {
			return errors.New("not for long enough yet")
		}
		return nil
	})
	return took
}

// resting says why the cluster is not at rest.
func (x *chaos) resting() error {
	for _, l := range x.leaving {
		if l.command.running() || x.f.proc(l.node).running() {
			return fmt.Errorf("node %d is leaving: %s%s", l.node, &l.command.out, &l.command.err)
		}
		if status, _ := l.command.wait(); status != 0 {
			x.blame("leave", "node %d: status %d: %s%s", l.node, status, &l.command.out, &l.command.err)
		}
	}
	x.leaving = nil
	if err := x.f.settled(x.members...); err != nil {
		return err
	}
	for _, i := range x.members {
		doc, err := x.f.view(i)
		if err != nil {
			return err
		}
		const passing = 16 << 10 // bytes that are under way while clients write
		for _, n := range doc.Nodes {
			if n.HintBytes > passing {
				return fmt.Errorf("node %d keeps %d bytes for %s", i, n.HintBytes, n.Name)
			}
		}
	}
	return nil
}

// gather asks all members for all there is, until they agree. No client asks meanwhile.
func (x *chaos) gather(s *history.Segment) (took time.Duration, last error) {
	return x.patiently("agree", func() error {
		s.Found, s.Listed, s.Copies = make(map[int]map[string]history.Found), make(map[int][]string), make(map[string][]history.Copy)
		var mu sync.Mutex // guards those
		err := atOnce(x.members, func(i int) error {
			found, err := x.all(i, s.Keys)
			if err != nil {
				return err
			}
			listed, err := x.list(i)
			mu.Lock()
			defer mu.Unlock()
			s.Found[i], s.Listed[i] = found, listed
			return err
		})
		if err != nil {
			return err
		}
		if err := x.copies(s); err != nil {
			return err
		}
		if odd := history.AtRest(s); len(odd) > 0 {
			return errors.New(odd[0].String())
		}
		return nil
	})
}

// atOnce does something with all of some, at the same time.
func atOnce[T any](some []T, do func(T) error) error {
	errs := make([]error, len(some))
	var all sync.WaitGroup
	for i, one := range some {
		all.Go(func() { errs[i] = do(one) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// all reads keys at a node.
func (x *chaos) all(node int, keys []string) (map[string]history.Found, error) {
	found := make(map[string]history.Found)
	for chunk := range slices.Chunk(keys, 2000) {
		var body bytes.Buffer
		for _, key := range chunk {
			fmt.Fprintf(&body, "{\"op\":\"get\",\"key\":%q}\n", key)
		}
		a := ask(x.crowd.web, http.MethodPost, x.f.url(node, "/batch"), body.String(), "Content-Type", "application/x-ndjson")
		lines := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
		if a.status != http.StatusOK || len(lines) != len(chunk) {
			return nil, fmt.Errorf("reading %d keys at node %d: %d results, %s", len(chunk), node, len(lines), a.reason())
		}
		for n, line := range lines {
			var r struct {
				Status             int
				Value, ETag, Error string
			}
			switch err := json.Unmarshal(line, &r); {
			case err == nil && r.Status == http.StatusOK:
				found[chunk[n]] = history.Found{Value: r.Value, ETag: r.ETag}
			case err != nil || r.Status != http.StatusNotFound:
				return nil, fmt.Errorf("reading %s at node %d: %s", chunk[n], node, line)
			}
		}
	}
	return found, nil
}

// list is what a node lists, without the keys that expire.
func (x *chaos) list(node int) (keys []string, err error) {
	a := ask(x.crowd.web, http.MethodGet, x.f.url(node, "/db"), "", "Accept", "application/x-ndjson")
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("a listing of node %d: %s", node, a.reason())
	}
	for line := range bytes.Lines(a.body) {
		var entry struct{ Key string }
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("a listing of node %d: %q: %w", node, line, err)
		}
		if !strings.HasPrefix(entry.Key, "brief-") {
			keys = append(keys, entry.Key)
		}
	}
	return keys, nil
}

// copies asks a member what the owners of keys hold: of all that change, and of some of the others.
func (x *chaos) copies(s *history.Segment) error {
	node := x.members[x.rand.IntN(len(x.members))]
	var keys []string
	for n, key := range s.Keys {
		if !strings.HasPrefix(key, "still-") || n%20 == 0 {
			keys = append(keys, key)
		}
	}
	const askers = 8
	var mu sync.Mutex // guards s.Copies
	return atOnce(slices.Collect(slices.Chunk(keys, len(keys)/askers+1)), func(keys []string) error {
		for _, key := range keys {
			copies, err := x.copiesOf(key, node)
			if err != nil {
				return err
			}
			mu.Lock()
			s.Copies[key] = copies
			mu.Unlock()
		}
		return nil
	})
}

// copiesOf are what the owners of a key hold, as they tell a node.
func (x *chaos) copiesOf(key string, node int) (copies []history.Copy, err error) {
	var doc api.Key
	if err := x.f.json(node, "/cluster/key/"+key, &doc); err != nil {
		return nil, err
	}
	if len(doc.Owners) != x.replicas {
		return nil, fmt.Errorf("%s has %d owners", key, len(doc.Owners))
	}
	for _, o := range doc.Owners {
		if o.Error != "" {
			return nil, fmt.Errorf("%s at %s: %s", key, o.Node, o.Error)
		}
		copies = append(copies, history.Copy{Node: o.Node, Version: o.Version, Tombstone: o.Tombstone})
	}
	return copies, nil
}
