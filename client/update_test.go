package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Each update asks the primary for what it is called for, and returns what that answers.
func TestUpdates(t *testing.T) {
	var body, condition string
	answer := "7"
	c := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		body, condition = string(sent), r.Header.Get("If-None-Match")
		_, _ = io.WriteString(w, answer)
	})
	cl, _ := newClient(t, Options{Addrs: []string{c.nodes[0].addr}})
	if sum, err := cl.Add(background, "k", -3, nil); sum != 7 || err != nil || body != "" {
		t.Errorf("Add: %d, %v, body %q", sum, err, body)
	}
	if n, err := cl.Append(background, "k", []byte("tail"), &UpdateOptions{W: LevelAll, If: IfAbsent()}); n != 7 || err != nil || body != "tail" || condition != "*" {
		t.Errorf("Append: %d, %v, body %q, If-None-Match %q", n, err, body, condition)
	}
	answer = ""
	if err := cl.Expire(background, "k", 90*time.Second, nil); err != nil {
		t.Errorf("Expire: %v", err)
	}
	answer = "what?"
	if _, err := cl.Add(background, "k", 1, nil); err == nil || !strings.Contains(err.Error(), `"what?"`) {
		t.Errorf("an answer that is no number: %v", err)
	}
	for _, ttl := range []time.Duration{0, -time.Second, time.Microsecond} {
		if err := cl.Expire(background, "k", ttl, nil); err == nil {
			t.Errorf("a TTL of %v was taken", ttl)
		}
	}
	asked := strings.Join(append(c.nodes[0].about("/db/"), c.nodes[1].about("/db/")...), "\n")
	want := "POST /db/k?incr=-3\nPOST /db/k?append=&w=all\nPOST /db/k?ttl=1m30s\nPOST /db/k?incr=1"
	if asked != want {
		t.Errorf("asked\n%s\nwant\n%s", asked, want)
	}
}

// An update that a node may have done is not sent to another, where it would be done twice.
func TestUpdatesAreSentOnce(t *testing.T) {
	c := newFakeCluster(t, 2, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		_, _ = io.WriteString(w, `{"error":"too few replicas are up","acks":1,"required":2,"outcome":"unknown"}`)
	})
	cl, _ := newClient(t, Options{Addrs: []string{c.nodes[0].addr}})
	if _, err := cl.Add(background, "k", 1, nil); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("it ends with %v", err)
	}
	if n := len(c.nodes[0].about("/db/")) + len(c.nodes[1].about("/db/")); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

// A prefix that takes more than one request is deleted to its end, and an error tells what was.
func TestDeletePrefix(t *testing.T) {
	answers := []string{`{"deleted":3,"cursor":"00000000000000aa"}`, `{"deleted":4}`}
	c := newFakeCluster(t, 1, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if len(answers) == 0 {
			w.WriteHeader(400)
			return
		}
		_, _ = io.WriteString(w, answers[0])
		answers = answers[1:]
	})
	cl, _ := newClient(t, Options{Addrs: []string{c.nodes[0].addr}})
	if n, err := cl.DeletePrefix(background, "a b", &DeletePrefixOptions{W: LevelAll}); n != 7 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	asked := c.nodes[0].about("/db?")
	if len(asked) != 2 || !strings.HasPrefix(asked[0], "DELETE /db?prefix=a+b&timeout=") || !strings.Contains(asked[1], "cursor=00000000000000aa") || !strings.Contains(asked[1], "w=all") {
		t.Errorf("asked %q", asked)
	}
	answers = []string{`{"deleted":3,"cursor":"00000000000000aa"}`}
	if n, err := cl.DeletePrefix(background, "", nil); n != 3 || err == nil {
		t.Errorf("%d keys, %v", n, err)
	}
}
