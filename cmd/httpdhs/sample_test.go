package main

import "testing"

// The sample is every character with a name of its own: some 35,000, none
// that the Unicode data only describe as one of a kind.
func TestSample(t *testing.T) {
	names := map[string]string{}
	for rec := range sample {
		names[rec.Key] = string(rec.Value)
	}
	if n := int64(len(names)); n != sampleCount() || n < 33_000 || n > 37_000 {
		t.Errorf("%d characters, counted as %d, want about 35,000", n, sampleCount())
	}
	for key, want := range map[string]string{
		"U+0041":  "LATIN CAPITAL LETTER A",
		"U+00E5":  "LATIN SMALL LETTER A WITH RING ABOVE",
		"U+1F600": "GRINNING FACE",
		"U+0000":  "", // <control>
		"U+4E00":  "", // <CJK Ideograph>
		"U+AC00":  "", // <Hangul Syllable>
		"U+0378":  "", // not assigned
	} {
		if got := names[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}
