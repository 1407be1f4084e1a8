package resp_test

import (
	"slices"
	"strings"
	"testing"

	"httpdhs/server/resp"
)

// Every answer of the transcripts is that of redis-server 7, byte for byte.
func TestAnswersAreThoseOfRedis(t *testing.T) {
	playAll(t, resp.StartFake(t, resp.Options{Name: "a:1", Flush: true}))
}

// Scripts of locks do at redis-server what they do here.
func TestLocksAreThoseOfRedis(t *testing.T) { resp.PlayLocks(t, startRedis(t)) }

// COMMAND INFO tells of each command what redis-server tells. Redis does not know some of them, and
// has other subcommands.
func TestCommandsAreThoseOfRedis(t *testing.T) {
	redis, own := player{addr: startRedis(t)}, player{addr: resp.StartFake(t, resp.Options{})}
	for _, p := range []*player{&redis, &own} {
		defer p.close()
		if err := p.connect(&session{resp3: true}); err != nil {
			t.Fatal(err)
		}
	}
	containers := []string{"client", "cluster", "command", "config", "latency", "memory", "object", "script", "slowlog"}
	for _, name := range resp.CommandNames() {
		request := encode([]string{"COMMAND", "INFO", name})
		want, err := redis.ask(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := own.ask(request)
		if err != nil {
			t.Fatal(err)
		}
		if got != want && !strings.HasSuffix(want, "_\r\n") && !slices.Contains(containers, name) {
			t.Errorf("%s\n got %q\nwant %q", name, got, want)
		}
	}
	if got := resp.UntoldCommands(); !slices.Equal(got, []string{"post", "host:"}) {
		t.Errorf("COMMAND does not tell of %q", got)
	}
}
