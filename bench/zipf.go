package bench

import (
	"math"
	"math/rand/v2"
)

// zipfTheta is the skew of YCSB's zipfian workloads: the most popular of
// 100,000 keys takes about one request in thirteen.
const zipfTheta = 0.99

// zipf draws ranks in [0, n) so that rank r comes up in proportion to
// 1/(r+1)^theta. The method is that of Gray et al., "Quickly Generating
// Billion-Record Synthetic Databases" (SIGMOD 1994), which YCSB uses too;
// math/rand's Zipf wants an exponent above 1. A zipf does not change once made.
type zipf struct {
	n                float64
	zeta, alpha, eta float64
	firstTwo         float64 // weight of ranks 0 and 1
}

func newZipf(n int, theta float64) *zipf {
	z := &zipf{n: float64(n), alpha: 1 / (1 - theta), firstTwo: 1 + math.Pow(0.5, theta)}
	for i := 1; i <= n; i++ {
		z.zeta += math.Pow(float64(i), -theta)
	}
	z.eta = (1 - math.Pow(2/z.n, 1-theta)) / (1 - z.firstTwo/z.zeta)
	return z
}

// rank draws one.
func (z *zipf) rank(r *rand.PCG) int {
	u := unit(r)
	switch weight := u * z.zeta; {
	case weight < 1:
		return 0
	case weight < z.firstTwo:
		return min(1, int(z.n)-1)
	}
	return min(int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)), int(z.n)-1)
}

// unit draws from [0, 1).
func unit(r *rand.PCG) float64 { return float64(r.Uint64()>>11) / (1 << 53) }
