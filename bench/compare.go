package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Comparison is two runs side by side.
type Comparison struct {
	A     string  `json:"a"`
	B     string  `json:"b"`
	Lines []Ratio `json:"figures"`

	Different []string `json:"different_settings,omitempty"`
}

// Ratio is one figure of both. Ratio is of the medians, B's to A's. Min and Max are the least and
// the most that it is by the spread over the rounds. They are 0 where A's figure is.
type Ratio struct {
	Figure string  `json:"figure"`
	A      Spread  `json:"a"`
	B      Spread  `json:"b"`
	Ratio  float64 `json:"ratio"`
	Min    float64 `json:"ratio_min"`
	Max    float64 `json:"ratio_max"`

	// Verdict is "better" or "worse" where the rounds of the two do not
	// overlap, and else "": no difference was shown. One round has no spread,
	// and so no verdict.
	Verdict string `json:"verdict,omitempty"`

	format func(float64) string
}

// ReadReport reads a file of --json.
func ReadReport(in io.Reader) (*Report, error) {
	r := new(Report)
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, err
	}
	if r.Kind != "run" || len(r.Rounds) == 0 {
		return nil, fmt.Errorf("it holds no run of bench (its kind is %q)", r.Kind)
	}
	if r.Settings.Protocol == "" {
		r.Settings.Protocol = HTTP // it is older than RESP
	}
	return r, nil
}

// Compare puts b beside a.
func Compare(nameA, nameB string, a, b *Report) *Comparison {
	c := &Comparison{A: nameA, B: nameB, Different: differences(&a.Settings, &b.Settings)}
	for _, f := range figures {
		line := ratioOf(a.Over(f.of), b.Over(f.of))
		line.Figure, line.format = f.name, f.format
		if min(len(a.Rounds), len(b.Rounds)) > 1 {
			line.Verdict = verdictOf(line.A, line.B, f.better)
		}
		if line.A.Max > 0 || line.B.Max > 0 {
			c.Lines = append(c.Lines, line)
		}
	}
	return c
}

func ratioOf(a, b Spread) Ratio {
	r := Ratio{A: a, B: b}
	if a.Median > 0 && a.Min > 0 {
		r.Ratio, r.Min, r.Max = b.Median/a.Median, b.Min/a.Max, b.Max/a.Min
	}
	return r
}

func verdictOf(a, b Spread, better int) string {
	switch {
	case b.Min > a.Max && better > 0, b.Max < a.Min && better < 0:
		return "better"
	case b.Min > a.Max, b.Max < a.Min:
		return "worse"
	}
	return ""
}

// differences are the settings in which two runs differ.
func differences(a, b *Settings) []string {
	var out []string
	fieldsB := fieldsOf(b)
	for i, f := range fieldsOf(a) {
		if f.value != fieldsB[i].value {
			out = append(out, fmt.Sprintf("%s: %s, %s", f.name, f.value, fieldsB[i].value))
		}
	}
	return out
}

type field struct{ name, value string }

// fieldsOf are the settings by their names in JSON.
func fieldsOf(s *Settings) []field {
	v := reflect.ValueOf(*s)
	fields := make([]field, v.NumField())
	for i := range fields {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[i] = field{name, fmt.Sprint(v.Field(i).Interface())}
	}
	return fields
}

// WriteText writes the comparison as a table.
func (c *Comparison) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "A  %s\nB  %s\n", c.A, c.B)
	for _, d := range c.Different {
		fmt.Fprintf(w, "the settings differ in %s\n", d)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "median\tA\tB\tB/A\tspread\t")
	for _, l := range c.Lines {
		ratio, spread := "-", "-"
		if l.Ratio > 0 && !math.IsInf(l.Max, 0) {
			ratio, spread = fmt.Sprintf("%.3f", l.Ratio), fmt.Sprintf("%.3f to %.3f", l.Min, l.Max)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Figure, l.format(l.A.Median), l.format(l.B.Median), ratio, spread, l.Verdict)
	}
	return t.Flush()
}
