package bench

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Workload says what is asked of the nodes.
type Workload string

const (
	Put   Workload = "put"   // PUT /db/{key}
	Get   Workload = "get"   // GET /db/{key}, of keys that are there
	Mixed Workload = "mixed" // gets and puts
	Incr  Workload = "incr"  // POST /db/{key}?incr=1, of keys that hold numbers
	Load  Workload = "load"  // POST /load-data, many records a request
	Batch Workload = "batch" // POST /batch, gets and puts, many a request
)

// Dist says how often which key is asked for.
type Dist string

const (
	Uniform Dist = "uniform"
	Zipf    Dist = "zipf" // theta 0.99, as in YCSB
)

// Route says which node is asked about a key.
type Route string

const (
	RouteAny   Route = "any"   // connections are dealt to the nodes, keys are not
	RouteOwner Route = "owner" // a connection asks its node only for what it is the primary of
)

// Format is the form of the bodies of Load and Batch.
type Format string

const (
	FormatRecords Format = "records" // application/vnd.httpdhs.records
	FormatText    Format = "text"    // TSV for Load, NDJSON for Batch
)

// Config is what to run. The zero values of most fields have a meaning of
// their own, so start from DefaultConfig.
type Config struct {
	To       []string // host:port of each node to ask
	Protocol Protocol // that they are asked in
	Token    string   // bearer token, if they want one; that of AUTH
	Workload Workload
	Route    Route
	Format   Format
	Dist     Dist
	Seed     uint64

	ReadRatio   float64 // of Mixed and Batch: share of gets
	DeleteRatio float64 // of the writes of Put and Mixed: share of deletes

	Conns    int // over all nodes
	Pipeline int // requests outstanding on a connection, at most
	Batch    int // operations in a request of Load and Batch
	Threads  int // event loops

	Rate     float64       // requests/s of an open loop; 0: closed loop
	Duration time.Duration // of the measured part, unless Requests
	Requests int64         // to measure; 0: go by Duration
	Warmup   time.Duration // before it, and not measured
	Timeout  time.Duration // of a request
	Rounds   int           // how often the measured part is repeated

	Keys      int
	KeySize   int // bytes
	ValueSize int // bytes

	Verify bool
	Settle time.Duration // from the last write to the reading back

	Progress func(Progress) // told of what goes on, a few times a second; may be nil
}

// Progress is how a run stands.
type Progress struct {
	Phase   string // prefill, warm-up, round 1 of 3, reading back, …
	Elapsed time.Duration
	Total   time.Duration // 0: not known
	Done    int64         // operations of this phase
	Rate    float64       // operations/s, of the last while
	P99     time.Duration // of the last while; 0: not known
	Errors  int64         // of this phase
}

// Defaults of Batch, by workload.
const (
	batchOfLoad  = 1000
	batchOfBatch = 100
)

// DefaultConfig is what the command line starts from.
func DefaultConfig() Config {
	return Config{
		To: []string{"localhost:1234"}, Protocol: HTTP, Workload: Mixed, Route: RouteAny, Format: FormatRecords,
		Dist: Uniform, Seed: 1, ReadRatio: 0.95, Conns: 64, Pipeline: 1, Threads: 1,
		Duration: 10 * time.Second, Warmup: time.Second, Timeout: 10 * time.Second, Rounds: 1,
		Keys: 100_000, KeySize: 16, ValueSize: 100,
	}
}

// Bounds of a Config: beyond them is a slip of the finger.
const (
	connsMax    = 16_384
	pipelineMax = 1024
	batchMax    = 100_000
	keysMax     = math.MaxUint32
	sizeMax     = 64 << 20
	roundsMax   = 1000
	threadsMax  = 64
)

// ErrConfig marks what is wrong with a Config.
var ErrConfig = errors.New("bad settings")

// decimal is v without an exponent.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Check says what is wrong with c, in the words of the command line.
func (c *Config) Check() error {
	oneOf := func(flag string, v string, of ...string) error {
		if slices.Contains(of, v) {
			return nil
		}
		return fmt.Errorf("%w: --%s is %q, want one of %v", ErrConfig, flag, v, of)
	}
	within := func(flag string, v, lo, hi float64) error {
		if v >= lo && v <= hi {
			return nil
		}
		return fmt.Errorf("%w: --%s is %s, want %s to %s", ErrConfig, flag, decimal(v), decimal(lo), decimal(hi))
	}
	share := func(flag string, v float64) error {
		err := within(flag, v, 0, 1)
		if err != nil && v > 1 && v <= 100 {
			err = fmt.Errorf("%w: did you mean %v?", err, v/100)
		}
		return err
	}
	day := (24 * time.Hour).Seconds()
	err := errors.Join(
		oneOf("workload", string(c.Workload), "put", "get", "mixed", "incr", "load", "batch"),
		oneOf("protocol", string(c.Protocol), "http", "resp"),
		oneOf("route", string(c.Route), "any", "owner"),
		oneOf("dist", string(c.Dist), "uniform", "zipf"),
		oneOf("format", string(c.Format), "records", "text"),
		share("read-ratio", c.ReadRatio),
		share("delete-ratio", c.DeleteRatio),
		within("conns", float64(c.Conns), 1, connsMax),
		within("pipeline", float64(c.Pipeline), 1, pipelineMax),
		within("batch", float64(c.Batch), 0, batchMax),
		within("threads", float64(c.Threads), 1, threadsMax),
		within("rate", c.Rate, 0, 1e9),
		within("requests", float64(c.Requests), 0, math.MaxInt64),
		within("warmup", c.Warmup.Seconds(), 0, day),
		within("timeout", c.Timeout.Seconds(), 0.001, 3600),
		within("settle", c.Settle.Seconds(), 0, day),
		within("rounds", float64(c.Rounds), 1, roundsMax),
		within("keys", float64(c.Keys), 1, keysMax),
		within("key-size", float64(c.KeySize), 1, 4096),
		within("value-size", float64(c.ValueSize), 0, sizeMax),
	)
	switch {
	case err != nil:
		return err
	case len(c.To) == 0:
		return fmt.Errorf("%w: --to names no node", ErrConfig)
	case slices.ContainsFunc(c.To, func(addr string) bool { return strings.Contains(addr, "://") }):
		return fmt.Errorf("%w: --to is %s: bench speaks no TLS, so it takes host:port alone, of nodes without", ErrConfig, strings.Join(c.To, ","))
	case c.Conns < len(c.To):
		return fmt.Errorf("%w: --conns is %d, fewer than the nodes (%d)", ErrConfig, c.Conns, len(c.To))
	case c.Requests == 0 && (c.Duration < 10*time.Millisecond || c.Duration.Seconds() > day):
		return fmt.Errorf("%w: --duration is %s, want 10ms to 24h", ErrConfig, c.Duration)
	case c.KeySize < keySizeMin(c.Keys):
		return fmt.Errorf("%w: --key-size is %d, but %d keys need %d digits", ErrConfig, c.KeySize, c.Keys, keySizeMin(c.Keys))
	case c.Verify && c.ValueSize < stampBytes && c.Workload != Incr:
		return fmt.Errorf("%w: --value-size is %d, but --verify marks each value with %d bytes", ErrConfig, c.ValueSize, stampBytes)
	case c.Verify && c.Keys < c.Conns:
		return fmt.Errorf("%w: --keys is %d: --verify needs one for each of the %d connections", ErrConfig, c.Keys, c.Conns)
	case c.Protocol == RESP && (c.Workload == Load || c.Workload == Batch):
		return fmt.Errorf("%w: --workload %s is for --protocol http: RESP has no request like that; see --pipeline", ErrConfig, c.Workload)
	case c.Protocol == RESP && c.Route == RouteOwner:
		return fmt.Errorf("%w: --route owner is for --protocol http, over which the ring is told", ErrConfig)
	case c.DeleteRatio > 0 && c.Workload != Put && c.Workload != Mixed && c.Workload != Get:
		return fmt.Errorf("%w: --delete-ratio is for the workloads put and mixed", ErrConfig)
	}
	return nil
}

// batchSize is Batch, or its default.
func (c *Config) batchSize() int {
	switch {
	case c.Batch > 0:
		return c.Batch
	case c.Workload == Load:
		return batchOfLoad
	}
	return batchOfBatch
}

// prefilled says whether the workload asks for keys that have to be there.
func (c *Config) prefilled() bool {
	return c.Workload == Get || c.Workload == Incr || (c.Workload == Mixed || c.Workload == Batch) && c.ReadRatio > 0
}

// threads is how many event loops there are: none without a connection.
func (c *Config) threads() int { return min(c.Threads, c.Conns) }
