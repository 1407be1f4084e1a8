package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// postalFile is real data that is not part of the repository: 14,108 Swedish
// postal codes and their places.
const (
	postalFile  = "../../shared/data/postalcodes.tsv"
	postalCodes = 14_108
)

func postal(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(postalFile)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skipf("the postal codes are not there, so they are not loaded: %v", err)
	}
	return path
}

// wantSpread says that the nodes hold two copies of each of so many keys, and
// none of them more than 1.15 of its share.
func wantSpread(t *testing.T, c *cluster, keys int64) {
	t.Helper()
	for i := range 3 {
		doc, err := c.view(i)
		if err != nil {
			t.Fatal(err)
		}
		sum, most := int64(0), int64(0)
		for _, n := range doc.Nodes {
			sum, most = sum+n.Keys, max(most, n.Keys)
		}
		if share := float64(2*keys) / 3; sum != 2*keys || float64(most) > 1.15*share {
			t.Errorf("node %d says that the nodes hold %d keys, the fullest %d; want %d and at most %.0f", i, sum, most, 2*keys, 1.15*share)
		}
	}
}

// wantPlaces says that some of the postal codes read as they should, at every
// node.
func wantPlaces(t *testing.T, c *cluster) {
	t.Helper()
	for code, place := range map[string]string{"74121": "Knivsta", "12139": "Johanneshov", "10005": "Stockholm"} {
		for i := range 3 {
			if a := send(t, c.addr(i), "GET", "/db/"+code, ""); a.status != 200 || string(a.body) != place {
				t.Errorf("%s at node %d: %d %q, want %q", code, i, a.status, a.body, place)
			}
		}
	}
}

// load-data loads all of a file and says how many that were; they are spread
// evenly, two copies of each.
func TestPostalCodesByCommand(t *testing.T) {
	t.Parallel()
	path := postal(t)
	c := startCluster(t)
	status, stdout, stderr := run(t, nil, "load-data", path, c.to())
	if status != 0 || !strings.Contains(stdout, fmt.Sprintf("loaded %d records, 0 failed", postalCodes)) {
		t.Fatalf("load-data: %d\n%s%s", status, stdout, stderr)
	}
	wantPlaces(t, c)
	wantSpread(t, c, postalCodes)
	status, stdout, stderr = run(t, nil, "keys", "7412", c.to())
	if status != 0 || !strings.Contains(stdout, "74121\n") || strings.Count(stdout, "\n") > 10 {
		t.Errorf("keys 7412: %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr = run(t, nil, "keys", c.to())
	if status != 0 || strings.Count(stdout, "\n") != postalCodes {
		t.Errorf("keys: %d, %d lines\n%s", status, strings.Count(stdout, "\n"), stderr)
	}
}

// The same by a PUT of the file as curl -T sends it.
func TestPostalCodesByPut(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(postal(t))
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t)
	doc := readLoaded(t, send(t, c.addr(0), "PUT", "/load-data", string(text)))
	if doc.Loaded != postalCodes || doc.Failed != 0 || len(doc.Errors) != 0 {
		t.Fatalf("PUT /load-data: %+v", doc)
	}
	wantPlaces(t, c)
	wantSpread(t, c, postalCodes)
	wantAnswer(t, c, 1, "after a restart of nothing", send(t, c.addr(1), "GET", "/db/00000", ""), 404)
	if doc := readLoaded(t, send(t, c.addr(1), "PUT", "/load-data", string(text))); doc.Loaded != postalCodes {
		t.Errorf("loaded again: %+v", doc)
	}
	wantSpread(t, c, postalCodes) // the same keys: nothing is there twice
}

// Each kind of file is loaded by the ending of its name, from standard input
// by --format, and the sample without any; bad lines are told with their
// numbers and make the command fail.
func TestLoadDataCommand(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	dir := t.TempDir()
	var tsv, csv, ndjson strings.Builder
	const n = 5000
	for i := range n {
		fmt.Fprintf(&tsv, "tsv-%d\tvalue of %d\n", i, i)
		fmt.Fprintf(&csv, "csv-%d,\"value, of %d\"\n", i, i)
		fmt.Fprintf(&ndjson, "{\"key\":\"ndjson-%d\",\"value\":\"value\\nof %d\"}\n", i, i)
	}
	for name, text := range map[string]string{"a.tsv": tsv.String(), "b.csv": csv.String(), "c.ndjson": ndjson.String(), "bad.tsv": "ok\tfine\nno tab\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a.tsv", "b.csv", "c.ndjson"} {
		status, stdout, stderr := run(t, nil, "load-data", filepath.Join(dir, name), "--to="+c.addr(1))
		if status != 0 || !strings.Contains(stdout, fmt.Sprintf("loaded %d records, 0 failed", n)) {
			t.Errorf("load-data %s: %d\n%s%s", name, status, stdout, stderr)
		}
	}
	wantSpread(t, c, 3*n)
	for key, value := range map[string]string{"tsv-4999": "value of 4999", "csv-17": "value, of 17", "ndjson-0": "value\nof 0"} {
		if a := send(t, c.addr(2), "GET", "/db/"+key, ""); string(a.body) != value {
			t.Errorf("%s is %q, want %q", key, a.body, value)
		}
	}
	status, stdout, stderr := run(t, nil, "load-data", filepath.Join(dir, "bad.tsv"), c.to())
	if status != 1 || !strings.Contains(stdout, "loaded 1 record,") || !strings.Contains(stderr, "line 2: ") {
		t.Errorf("a file with a bad line: %d\n%s%s", status, stdout, stderr)
	}
	status, _, stderr = run(t, nil, "load-data", filepath.Join(dir, "none.tsv"), c.to())
	if status == 0 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("no such file: %d %q", status, stderr)
	}

	stdin := exec.Command(binary, "load-data", "-", "--format=csv", c.to())
	stdin.Env, stdin.Stdin = withoutOurs(os.Environ()), strings.NewReader("stdin,works\n")
	if out, err := stdin.CombinedOutput(); err != nil || !strings.Contains(string(out), "loaded 1 record,") {
		t.Errorf("load-data -: %v %s", err, out)
	}
	if a := send(t, c.addr(0), "GET", "/db/stdin", ""); string(a.body) != "works" {
		t.Errorf("stdin is %q", a.body)
	}
	status, stdout, stderr = run(t, nil, "load-data", "--sample", c.to())
	if status != 0 || !strings.Contains(stdout, " 0 failed") {
		t.Errorf("load-data --sample: %d\n%s%s", status, stdout, stderr)
	}
	if a := send(t, c.addr(0), "GET", "/db/U+1F600", ""); string(a.body) != "GRINNING FACE" {
		t.Errorf("U+1F600 is %q", a.body)
	}
}
