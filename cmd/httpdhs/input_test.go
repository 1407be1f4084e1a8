package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What gzip and zstd have packed is unpacked, and JSON is known as such, whatever the ending says.
// What is none of the formats says what to do with it, and is never read as TSV.
func TestLoadDataRecognises(t *testing.T) {
	startCluster(t, 1)
	for name, text := range map[string]string{
		"a.csv.gz":    packed(t, "gzip", "gz,1\n"),
		"a.csv.zst":   packed(t, "zstd", "zst,1\n"),
		"none":        packed(t, "zstd", `{"key":"no-ending","value":"1"}`),
		"a.tsv":       packed(t, "gzip", "wrong-ending\t1\n") + packed(t, "gzip", "appended\t1\n"),
		"a.json":      `{"key":"json","value":"1"}`,
		"a.json.zst":  packed(t, "zstd", `{"key":"json-zst","value":"1"}`) + packed(t, "zstd", "\n"),
		"\ufefftsv":   "\ufeffbom\t1\n",
		"dump.tsv.gz": packed(t, "gzip", "\ufeff{\"key\":\"deep\",\"value\":\"1\"}\n"),
	} {
		if status, out, stderr := httpdhs("load-data", write(t, name, text)); status != 0 || !strings.Contains(out, ", 0 failed") {
			t.Errorf("%s: status %d, %s%s", name, status, out, stderr)
		}
	}
	for _, key := range []string{"gz", "zst", "no-ending", "wrong-ending", "appended", "json", "json-zst", "bom", "deep"} {
		expect(t, 0, "1", "", "get", key)
	}
	for name, want := range map[string][2]string{
		"a.json":     {"[\n", "jq -c '.[]'"},
		"a":          {"{\n\"a\": \"1\"\n}", "jq -c 'to_entries[]'"},
		"a.tsv":      {"\xfd7zXZ\x00", "xz -dc"},
		"a.xlsx":     {"PK\x03\x04", "unzip -p"},
		"a.tar.gz":   {packed(t, "gzip", "a\x00\x00"), "--format"},
		"a.json.zst": {packed(t, "zstd", "[]"), "jq"},
		"b.gz":       {"\x1f\x8b\x08\xff", "cannot unpack the gzip"},
	} {
		file := write(t, name, want[0])
		if status, out, stderr := httpdhs("load-data", file); status == 0 || strings.Contains(out, "loaded 1") || !strings.Contains(stderr, want[1]) {
			t.Errorf("%s: status %d, %s%s", file, status, out, stderr)
		}
	}
}

// A packed file that is cut short is loaded and counted as far as it goes, and the line where it
// breaks off is named.
func TestLoadDataOfACutFile(t *testing.T) {
	startCluster(t, 2)
	for _, how := range []string{"gzip", "zstd"} {
		text := packed(t, how, "p\t1\nq\t2\n") + packed(t, how, "r\t3\ns\t4\n")[:5]
		status, out, stderr := httpdhs("load-data", write(t, "cut.tsv", text))
		if status != 1 || !strings.HasPrefix(out, "loaded 2 records, 0 failed") || !strings.Contains(stderr, "line 3 and following: cannot unpack the "+how) {
			t.Errorf("status %d, stdout %q, stderr %q", status, out, stderr)
		}
	}
	expect(t, 0, "2", "", "get", "q")
}

// packed is text, packed.
func packed(t *testing.T, how, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if how == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
