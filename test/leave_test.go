package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"httpdhs/internal/poll"
)

// leaving runs httpdhs leave for node i, to its end.
func (f *fleet) leaving(i int) (status int, stdout, stderr string) {
	f.t.Helper()
	p, err := launch(f.dir, nil, "leave", f.ships[i].name, "--to="+f.ships[i].ask)
	if err != nil {
		f.t.Error(err)
		return -1, "", ""
	}
	defer p.kill()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), p.out.String(), p.err.String()
	case <-time.After(long):
		return -1, p.out.String(), p.err.String() + "it does not end"
	}
}

// All nodes are told to leave at the same moment, each by a command of its own. One of them stays,
// since somebody has to; each command says what became of its node, and its status says the same: 0
// for those that have left, 1 for the one that is still a member, with what to do about it.
func TestAllAreToldToLeaveAtOnce(t *testing.T) {
	t.Parallel()
	for round := range soaked(1, 10) {
		f := newFleet(t, 4)
		f.startAll()
		w := newWitness(f, "all-", 1000, "", 0)
		said := make([]string, 4)
		var commands sync.WaitGroup
		for i := range 4 {
			commands.Go(func() {
				status, out, err := f.leaving(i)
				said[i] = fmt.Sprint(status, " ", out, err)
			})
		}
		commands.Wait()
		var stayed []int
		for i := range 4 {
			switch name := f.name(i); {
			case strings.HasPrefix(said[i], "0 "+name+" has left; "):
				f.awaitLeft(i)
			case strings.HasPrefix(said[i], "1 ") && strings.Contains(said[i], name+" is still a member: ") && strings.Contains(said[i], "one has to stay"):
				stayed = append(stayed, i)
			default:
				t.Errorf("round %d: leave of node %d: %s", round, i, said[i])
			}
		}
		if len(stayed) != 1 {
			t.Fatalf("round %d: %d nodes stay, want 1: %q", round, len(stayed), said)
		}
		f.awaitSettled(stayed...)
		w.verify(stayed...)
		w.nothingWrong()
		f.close()
	}
}

// Three of five nodes are told to leave at the same moment, under load, each by a command of its
// own: all of them leave, all commands say so, and nothing is lost on the way.
func TestSeveralAreToldToLeaveAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 5)
	f.startAll()
	w := newWitness(f, "several-", soaked(2000, soakKeys()/5), "", 0, 1)
	w.begin()
	w.more(soaked[int64](200, 500))
	var commands sync.WaitGroup
	for _, i := range []int{2, 3, 4} {
		commands.Go(func() {
			if status, out, stderr := f.leaving(i); status != 0 || !strings.HasPrefix(out, f.name(i)+" has left; ") {
				t.Errorf("leave of node %d: %d %s%s", i, status, out, stderr)
			}
		})
	}
	commands.Wait()
	for _, i := range []int{2, 3, 4} {
		f.awaitLeft(i)
	}
	f.awaitSettled(0, 1)
	w.more(soaked[int64](200, 500))
	w.end()
	w.conclude(2, 0, 1)
}

// A node that leaves waits for a member that is down, and its command goes on waiting. The command
// says for whom, and so does status at each node that is up. When the member that is down is taken
// off the ring, or is back, the node leaves and the command ends well.
func TestLeaveWaitsForAMemberThatIsDown(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		size int // nodes; the last leaves, the one before it is down
		then func(f *fleet, down int)
	}{
		{"it is removed", 3, func(f *fleet, down int) {
			if status, out, stderr := run(f.t, nil, "remove", f.name(down), "--to="+f.name(0)); status != 0 {
				f.t.Errorf("remove: %d %s%s", status, out, stderr)
			}
		}},
		{"it is back, the only one to take what there is", 2, func(f *fleet, down int) { f.start(down) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, row.size)
			f.startAll()
			newWitness(f, "wait-", 500, "", 0)
			down, goes := row.size-2, row.size-1
			var up []int
			for i := range row.size {
				if i != down {
					up = append(up, i)
				}
			}
			f.kill9(down)
			f.awaitDown(down, up...)
			p, err := launch(f.dir, nil, "leave", f.name(goes), "--to="+f.name(up[0]))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.kill)
			waits := "waits for " + f.name(down) + ", which is down since "
			poll.Until(t, "the command says for whom it waits", func() error {
				if got := p.err.String(); !strings.Contains(got, waits) || !strings.Contains(got, "httpdhs remove "+f.name(down)) {
					return fmt.Errorf("it says %q and %q", got, &p.out)
				}
				return nil
			})
			resp, err := http.Get("http://" + f.name(goes) + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a node that leaves is ready: %d", resp.StatusCode)
			}
			for _, i := range up {
				_, out, _ := run(t, nil, "status", "--to="+f.name(i))
				if !strings.Contains(out, f.name(goes)+" has ") || !strings.Contains(out, waits) {
					t.Errorf("status of node %d does not say for whom node %d waits:\n%s", i, goes, out)
				}
			}
			if !p.running() {
				t.Errorf("the command has ended: %s%s", &p.out, &p.err)
			}
			row.then(f, down)
			if status, err := p.wait(); err != nil || status != 0 || !strings.HasPrefix(p.out.String(), f.name(goes)+" has left; ") {
				t.Errorf("leave ends with %d, %v: %s%s", status, err, &p.out, &p.err)
			}
			f.awaitLeft(goes)
			f.awaitSettled(slices.DeleteFunc(slices.Clone(up), func(i int) bool { return i == goes })...)
		})
	}
}
