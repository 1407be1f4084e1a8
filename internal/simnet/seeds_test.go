package simnet

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func run(t *testing.T, s Shape) (h *History) {
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

func TestTry(t *testing.T) {
	from, _ := strconv.Atoi(os.Getenv("FROM"))
	n, _ := strconv.Atoi(os.Getenv("SEEDS"))
	bad := 0
	for seed := from; seed < from+n; seed++ {
		start := time.Now()
		s := Draw(uint64(seed))
		s.Verbose = os.Getenv("VERBOSE") != ""
		h := run(t, s)
		vs := Check(h, Rules{})
		if os.Getenv("LOG") != "" {
			h.Print(os.Stdout, 0)
		}
		if os.Getenv("V") != "" || len(vs) > 0 {
			fmt.Printf("seed %d: %v, %d ops, %d events, %d splits, fp %x\n", seed, time.Since(start), len(h.Ops), len(h.Events), len(h.Splits), h.Fingerprint())
		}
		if len(vs) > 0 {
			bad++
			for _, v := range vs {
				fmt.Println("  ", v)
			}
		}
	}
	fmt.Println("bad", bad)
}
