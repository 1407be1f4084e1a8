package simnet

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The environment says what TestSeeds runs: see make sim.
const (
	envSeed  = "SIMNET_SEED"  // this one, with the whole log
	envFrom  = "SIMNET_FROM"  // the first; 1
	envSeeds = "SIMNET_SEEDS" // how many
	envChild = "SIMNET_CHILD" // of TestSeeds alone: the first, and how many
)

const (
	seedsDefault = 10
	seedsRace    = 4

	blockSeeds  = 20              // in one process
	silenceMost = 3 * time.Minute // of a process: something waits for what time cannot bring
	failsMost   = 5               // seeds that fail, and no more are begun
	tailLines   = 150             // of the history of a seed that fails
	tellEvery   = 1000            // seeds
)

// run carries out a run in a bubble of its own.
func run(t *testing.T, s Shape) (h *History) {
	t.Helper()
	Flush()
	defer Flush()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if h, err = Run(s); err != nil {
			t.Fatal(err)
		}
	})
	return h
}

func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is %q: give a number", name, text)
	}
	return n
}

// Whatever the faults that a seed brings, everything that is promised holds. Each block of seeds
// runs in a process of its own with one processor. So a seed that fails does so again, and a
// process that dies takes little with it.
func TestSeeds(t *testing.T) {
	if os.Getenv(envChild) != "" {
		t.Skip("it is the child")
	}
	if seed := os.Getenv(envSeed); seed != "" {
		child(t, envSeed+"="+seed, func(line string) { fmt.Println(line) })
		return
	}
	from, most := envInt(t, envFrom, 1), seedsDefault
	if raceEnabled {
		most = seedsRace
	}
	most = envInt(t, envSeeds, most)
	b := blocks{next: from, end: from + most}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), most) {
		workers.Go(func() {
			for first, count := b.take(); count > 0; first, count = b.take() {
				b.run(t, first, count)
			}
		})
	}
	workers.Wait()
	t.Logf("%d seeds from %d, %d failed", b.done, from, b.failed)
}

// blocks are the seeds that are still to be run.
type blocks struct {
	mu                      sync.Mutex // guards all below
	next, end, done, failed int
}

func (b *blocks) take() (first, count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed >= failsMost {
		return 0, 0
	}
	first, count = b.next, min(blockSeeds, b.end-b.next)
	b.next += count
	return first, count
}

// run runs some seeds in a process of their own, and goes on after one that took its process with
// it.
func (b *blocks) run(t *testing.T, first, count int) {
	for at := first; at < first+count; {
		ran := 0
		child(t, fmt.Sprintf("%s=%d %d", envChild, at, first+count-at), func(line string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			switch {
			case strings.HasPrefix(line, "ran "):
				ran++
				if b.done++; b.done%tellEvery == 0 {
					t.Logf("%d seeds run", b.done)
				}
			case strings.HasPrefix(line, "FAILED "):
				b.failed++
				t.Error(line)
			case strings.HasPrefix(line, "| "):
				t.Log(line)
			}
		})
		if at += ran; at < first+count {
			t.Errorf("seed %d took its process with it. Run it again: make sim SEED=%d", at, at)
			b.mu.Lock()
			b.failed++
			b.mu.Unlock()
			at++
		}
	}
}

// child runs TestChild in another process and hands over its lines. One that is silent for long is
// made to say where its goroutines are.
func child(t *testing.T, env string, line func(string)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=400")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	silence := time.AfterFunc(silenceMost, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer silence.Stop()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		silence.Reset(silenceMost)
		line(lines.Text())
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%.20000s", env, err, said.String())
	}
}

// TestChild runs seeds one after the other, in the process that TestSeeds made for them.
func TestChild(t *testing.T) {
	if seed := os.Getenv(envSeed); seed != "" {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q: give a number", envSeed, seed)
		}
		shape := Draw(n)
		shape.Verbose = true
		h := run(t, shape)
		h.Print(os.Stdout, 0)
		fmt.Printf("seed %d: fingerprint %x\n", n, h.Fingerprint())
		for _, v := range Check(h, Rules{}) {
			t.Error(v)
		}
		return
	}
	var first, count uint64
	if _, err := fmt.Sscan(os.Getenv(envChild), &first, &count); err != nil {
		t.Skip("TestSeeds runs it")
	}
	for seed := first; seed < first+count; seed++ {
		h := run(t, Draw(seed))
		checked := check(h, Rules{})
		if violations := checked.found; len(violations) > 0 {
			fmt.Printf("FAILED seed %d. Run it again: make sim SEED=%d\n", seed, seed)
			var b strings.Builder
			for _, v := range violations {
				fmt.Fprintln(&b, v)
			}
			h.Print(&b, tailLines)
			fmt.Println("| " + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n| "))
		}
		fmt.Println("ran", seed, checked.looked)
	}
}
