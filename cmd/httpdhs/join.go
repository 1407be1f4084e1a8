package main

import (
	"errors"
	"fmt"
	"strings"

	"httpdhs/node"
)

// joinFlags say with whom a node becomes a cluster, or is one.
type joinFlags struct {
	Join   []string `placeholder:"HOST:PORT" sep:"," help:"A member of a running cluster to join, instead of --conf; repeatable. dns:NAME:PORT is every address that the name has, looked up at each try. With neither the node is a cluster of its own."`
	Expect int      `default:"0" placeholder:"N" help:"Found a cluster once so many of the nodes to join are there, this one included, and agree: the same at all, and more than half of those that are started. 0 waits for all that --join lists, and founds none by a name."`
}

func (f *joinFlags) check(conf string) error {
	switch {
	case conf != "" && len(f.Join) > 0:
		return errors.New("--conf and --join are both given: use --join for a node that is new to a running cluster")
	case f.Expect < 0 || f.Expect > node.MembersMax:
		return fmt.Errorf("--expect is %d, want 1 to %d, or 0", f.Expect, node.MembersMax)
	case f.Expect > 0 && len(f.Join) == 0:
		return fmt.Errorf("--expect is %d, and there is no --join: give the addresses of the others, or dns:NAME:PORT", f.Expect)
	}
	for _, join := range f.Join {
		addr, named := strings.CutPrefix(join, node.NamePrefix)
		if _, _, err := splitHostPort(addr); err != nil && (named || strings.HasPrefix(strings.ToLower(join), node.NamePrefix)) {
			return fmt.Errorf("--join is %q, want dns:NAME:PORT", join)
		}
		if err := checkReachable("--join", addr); err != nil {
			return err
		}
	}
	return nil
}

func (f *joinFlags) apply(cfg *node.Config) { cfg.Join, cfg.Expect = f.Join, f.Expect }

// checkReachable says what is wrong with the address of a node.
func checkReachable(flag, addr string) error {
	host, _, err := splitHostPort(addr)
	if err == nil && unspecified(host) {
		err = errUnspecified(addr)
	}
	if err != nil {
		return fmt.Errorf("%s %w", flag, err)
	}
	return nil
}
