package console

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"httpdhs/api"
	"httpdhs/internal/browser"
)

const (
	longName    = "node-with-a-name-that-nobody-would-choose-but-dns-allows." + "a-label-of-a-name-that-is-long." // and more, see long
	longVersion = "v0.1.0-rc.1-1234-gdeadbeefcafe-dirty+a.build.of.somebody.who.likes.to.say.everything.in.a.version"
)

// long is a name of 253 characters, the longest that DNS allows, and a port.
func long() string {
	return (longName + strings.Repeat("a-label-of-a-name-that-is-long.", 8))[:249] + ".org:65535"
}

// troubled is a cluster of 20 nodes in which much goes on.
func troubled(t *testing.T) *stand {
	s := newStand(t, 20, 4)
	s.change(func(c *api.Cluster) {
		c.Target = "a04c7be19d52f386"
		joining, down, full, leaving, odd := &c.Nodes[6], &c.Nodes[9], &c.Nodes[3], &c.Nodes[14], &c.Nodes[17]
		joining.State, joining.Reason = api.StateJoining, "fetches its share"
		joining.PrimaryPartitions, joining.ReplicaPartitions, joining.TargetPartitions = 0, 0, 102
		joining.Moving = &api.Moving{Partitions: 204, Done: 77, Bytes: 391 << 20, BytesLeft: 645 << 20, Rate: 21 << 20, SecondsLeft: 30.7}
		joining.Keys, joining.Bytes, joining.Memory.Used = 88_120, 18_211_034, 30<<20
		down.State, down.DownSince, down.HintBytes = api.StateDown, time.Now().Add(-3*time.Minute-20*time.Second), 7_412_001
		full.Memory.Used, full.Memory.Live, full.Memory.Segments = 255<<20, 238<<20, 246<<20
		leaving.State, leaving.HandOver, leaving.Reason = api.StateLeaving, 61, "hands over what it holds"
		leaving.Moving = &api.Moving{}
		leaving.Moving = nil
		odd.Name, odd.Version = long(), longVersion
		for i := range c.Nodes {
			under := int64(0)
			if i%3 == 0 {
				under = 3121 + int64(i)*17
			}
			c.Nodes[i].UnderReplicated = under
		}
	})
	return s
}

func someKeys(s *stand) {
	var pixels bytes.Buffer
	picture := image.NewRGBA(image.Rect(0, 0, 240, 120))
	for x := range 240 {
		for y := range 120 {
			picture.Set(x, y, color.RGBA{uint8(x), uint8(2 * y), 180, 255})
		}
	}
	if err := png.Encode(&pixels, picture); err != nil {
		s.t.Fatal(err)
	}
	for i := range 30 {
		s.keys = append(s.keys, fmt.Sprintf("user:%d", 1000+i))
	}
	s.keys = append(s.keys, "a key with spaces", "line\nbreak\tand more", map[string]string{"key_base64": "/wCA/g=="},
		"sessions/"+strings.Repeat("0123456789abcdef", 12), "<img src=x onerror=alert(1)>", "picture.png", "schlüssel/ключ/鍵", "large", "blob")
	s.values["user%3A1000"] = standValue{kind: "application/json", ttl: 83 * time.Minute, body: []byte(
		`{"id":12345678901234567890,"name":"Ada \"the first\" Lovelace","tags":["a","b",{}],"nested":{"pi":3.14159,"none":null,"yes":true,"empty":[]},"text":"line\nbreak"}`)}
	s.values["picture.png"] = standValue{kind: "application/octet-stream", body: pixels.Bytes()}
	s.values["blob"] = standValue{kind: "application/octet-stream", body: bytes.Repeat([]byte{0, 1, 254, 'a', 'b'}, 200)}
	s.values["large"] = standValue{kind: "application/json", body: []byte("[" + strings.Repeat(`{"a":1,"b":"two"},`, 450_000) + "0]")}
}

// Pictures of the console in all its states are made where CONSOLE_SHOTS names a directory, for a
// person to look at.
func TestShots(t *testing.T) {
	dir := os.Getenv("CONSOLE_SHOTS")
	if dir == "" {
		t.Skip("CONSOLE_SHOTS names no directory for pictures")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	looks := []struct {
		width int
		dark  bool
	}{{1280, false}, {1280, true}, {800, false}, {800, true}, {400, false}, {400, true}}
	states := map[string]func() *stand{
		"three":  func() *stand { s := newStand(t, 3, 0); someKeys(s); return s },
		"twenty": func() *stand { s := troubled(t); someKeys(s); return s },
	}
	node := func(s *stand) string { return "#/node/" + s.cluster.Nodes[min(17, len(s.cluster.Nodes)-1)].Name }
	views := map[string]func(s *stand) string{
		"cluster": func(*stand) string { return "#/cluster" },
		"node":    node,
		"ask":     node,
		"json":    func(*stand) string { return "#/keys/user%3A1000" },
		"image":   func(*stand) string { return "#/keys/picture.png" },
	}
	only := os.Getenv("CONSOLE_SHOTS_ONLY")
	for state, stand := range states {
		for view, at := range views {
			for _, look := range looks {
				tone := map[bool]string{true: "dark", false: "light"}[look.dark]
				name := fmt.Sprintf("%s-%s-%d-%s", state, view, look.width, tone)
				if !strings.Contains(name, only) {
					continue
				}
				s, polls := stand(), 5
				if view == "cluster" || view == "node" {
					polls = 90
				}
				p := s.open(b, at(s), look.width, look.dark, quick)
				s.polled(polls)
				if view == "json" || view == "image" {
					p.Await(`document.querySelector("#owners table")`)
				}
				if view == "ask" {
					s.says("GET /cluster/safe-to-stop", 409, api.SafeToStop{Reason: "3,121 keys of 12 partitions have no other copy that is in sync",
						Waits: []api.Wait{{Node: s.cluster.Nodes[1].Name, Reason: "fetches its share", SecondsLeft: 31}}})
					p.click("Leave…")
					p.shows("#node-ask-safety", "Not safe")
				}
				picture(t, p, look.width, look.dark, filepath.Join(dir, name+".png"))
			}
		}
	}
}

// picture writes one of the whole page.
func picture(t *testing.T, p page, width int, dark bool, path string) {
	t.Helper()
	var height int
	p.Eval(`document.documentElement.scrollHeight`, &height)
	p.Look(width, height, dark)
	if err := os.WriteFile(path, p.Picture(), 0o600); err != nil {
		t.Fatal(err)
	}
}
