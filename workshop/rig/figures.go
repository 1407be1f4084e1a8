package rig

import (
	"fmt"
	"slices"
)

// Ratio is that of two subjects over the rounds: each figure is compared with
// that of the same round.
type Ratio struct{ Median, Least, Most float64 }

// RatioOf compares two series that have at least one figure each.
func RatioOf(a, b []float64) Ratio {
	of := ratios(a, b)
	return Ratio{Median(of), slices.Min(of), slices.Max(of)}
}

func ratios(a, b []float64) []float64 {
	of := make([]float64, min(len(a), len(b)))
	for i := range of {
		of[i] = a[i] / b[i]
	}
	return of
}

// Median of at least one value.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// Short is a figure with three digits that count.
func Short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v < 10 && v > -10:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
