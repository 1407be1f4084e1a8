package resp

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/slowlog"
	"httpdhs/internal/syncbuf"
)

// A call that takes longer than is said is logged once, however many commands it carries out, and
// others are not.
func TestSlowCalls(t *testing.T) {
	for least, want := range map[time.Duration]int{time.Nanosecond: 1, time.Hour: 0, 0: 0} {
		var log syncbuf.Buffer
		_, _, addr := start(t, Options{SlowLog: slowlog.New(slog.New(slog.NewTextHandler(&log, nil)), least)})
		dial(t, addr).say("SET a 1\r\nGET a\r\nGET none\r\n", "+OK\r\n$1\r\n1\r\n$-1\r\n")
		got := log.String()
		if strings.Count(got, "slow call") != want || want > 0 && !strings.Contains(got, "key=a operations=3 gets=2 failed=0 took=") {
			t.Errorf("%s: %q", least, got)
		}
	}
}
