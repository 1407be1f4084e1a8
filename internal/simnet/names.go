package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"httpdhs/membership"
)

// Names is how nodes that are to found a cluster find each other by a name.
type Names struct {
	Expect int             // how many of the beginning are expected: more than half
	Late   []time.Duration // by place: since the run began, until the name leads there
	Fails  float64         // share of the look-ups
	Falls  int             // the place of a node that is restarted while the cluster is founded
	FallAt time.Duration
}

const (
	allNodes    = "all"                 // the name that leads to them
	foundEvery  = 20 * time.Millisecond // between two looks for a second cluster
	fallFor     = 500 * time.Millisecond
	errNoAnswer = "no answer of the name server"
)

// drawNames draws names, in half of the runs in which nodes join each other.
func (s *Shape) drawNames(c chance) {
	if s.Members == nil || !s.Members.Founding || c.yes(0.5) {
		return
	}
	n := &Names{Expect: s.Nodes/2 + 1 + c.IntN(s.Nodes-s.Nodes/2), Fails: c.Float64() * 0.6}
	n.Falls, n.FallAt = c.IntN(2*s.Nodes), c.between(0, 5*time.Second)
	for range s.places() {
		n.Late = append(n.Late, c.between(0, 6*time.Second))
	}
	s.Members.Names = n
}

// byName has a node that would found a cluster by a list find the others by their name. As many are
// expected as were drawn, or more than half of those that are to run now.
func (s *sim) byName(n *node, o *membership.Options) {
	names := s.shape.Members.Names
	if names == nil || len(o.Join) == 0 || s.anyFormed() {
		return
	}
	all := slices.Clone(o.Join)
	o.Join, o.Expect = []string{"dns:" + allNodes + ":1"}, max(min(names.Expect, len(all)), len(all)/2+1)
	o.Lookup = func(context.Context, string) (hosts []string, err error) {
		if n.random.next() < names.Fails {
			return nil, errors.New(errNoAnswer)
		}
		for i, name := range s.shape.places() {
			if slices.Contains(all, name) && s.log.now() >= names.Late[i] {
				host, _, _ := net.SplitHostPort(name)
				hosts = append(hosts, host)
			}
		}
		return hosts, nil
	}
}

// founding looks, until it is called, whether there are two clusters, and restarts a node
// meanwhile. It returns what it saw; empty: never two.
func (s *sim) founding() func() string {
	if s.shape.Members == nil || s.shape.Members.Names == nil {
		return func() string { return "" }
	}
	names, over, seen := s.shape.Members.Names, make(chan struct{}), ""
	var run sync.WaitGroup
	run.Go(func() {
		for seen == "" {
			select {
			case <-time.After(foundEvery):
				seen = s.twoClusters()
			case <-over:
				return
			}
		}
	})
	if names.Falls < s.shape.Nodes {
		run.Go(func() {
			select {
			case <-time.After(names.FallAt):
			case <-over:
				return
			}
			n := s.nodes[names.Falls]
			s.log.add("%s is restarted while a cluster is founded", n.name)
			s.kill(s.net.at(n.name), killed)
			time.Sleep(fallFor)
			s.mustStart(n)
		})
	}
	return func() string {
		close(over)
		run.Wait()
		return seen
	}
}

// twoClusters says which nodes are of clusters that do not know of each other: no member of one is
// a member of the other. Empty: there are none.
func (s *sim) twoClusters() string {
	var clusters [][]string
	for _, run := range s.runs() {
		if !run.members.Formed() {
			continue
		}
		var group []string
		for _, m := range run.members.Members() {
			group = append(group, m.Name)
		}
		var apart [][]string
		for _, other := range clusters {
			if slices.ContainsFunc(other, func(name string) bool { return slices.Contains(group, name) }) {
				group = append(group, other...)
			} else {
				apart = append(apart, other)
			}
		}
		clusters = append(apart, group)
	}
	if len(clusters) < 2 {
		return ""
	}
	return fmt.Sprintf("there are two clusters: %v", clusters)
}
