package cassette

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Latency says how long answers take when they are played. The zero value: no
// time. What is random in it is the same in every run of a cassette.
type Latency struct {
	// Scale is of the times that were recorded: of the first byte, and of what
	// followed. 0: they do not count.
	Scale float64
	// Mean is how long the first byte takes beside that, give or take up to Spread.
	Mean, Spread time.Duration
	// Sigma, if it is not zero, has Mean be the median of a log-normal
	// distribution, and is the deviation of its logarithm.
	Sigma float64
}

// ErrLatency is wrapped by what ParseLatency refuses.
var ErrLatency = errors.New("cassette: not a latency")

// latencyMost is the longest that a latency may be given: longer than any
// client waits.
const latencyMost = time.Hour

// ParseLatency reads a latency: "none", "recorded", "x0.1" for a part of what
// was recorded, "200ms", "200ms±50ms" or "200ms+-50ms", and
// "lognormal:200ms,0.4" for a median and a sigma.
func ParseLatency(s string) (Latency, error) {
	wrong := func(why string) (Latency, error) { return Latency{}, fmt.Errorf("%w: %q %s", ErrLatency, s, why) }
	switch s {
	case "none":
		return Latency{}, nil
	case "recorded":
		return Latency{Scale: 1}, nil
	}
	if factor, ok := strings.CutPrefix(s, "x"); ok {
		f, err := strconv.ParseFloat(factor, 64)
		if err != nil || !(f >= 0 && f <= 1000) {
			return wrong("has no factor from 0 to 1000 after the x")
		}
		return Latency{Scale: f}, nil
	}
	var l Latency
	mean, spread, uniform := strings.Cut(strings.Replace(s, "+-", "±", 1), "±")
	if params, ok := strings.CutPrefix(s, "lognormal:"); ok {
		median, sigma, _ := strings.Cut(params, ",")
		f, err := strconv.ParseFloat(sigma, 64)
		if err != nil || !(f > 0 && f <= 5) {
			return wrong("has no sigma of up to 5 after the comma")
		}
		mean, l.Sigma = median, f
	}
	var err error
	if l.Mean, err = time.ParseDuration(mean); err != nil || l.Mean < 0 || l.Mean > latencyMost {
		return wrong("has no duration of up to 1h, such as 200ms")
	}
	if uniform {
		if l.Spread, err = time.ParseDuration(spread); err != nil || l.Spread < 0 || l.Spread > l.Mean {
			return wrong("has no duration after ± that is not longer than the one before")
		}
	}
	return l, nil
}

// A schedule is when the parts of one answer are due. A nil one has no pauses.
type schedule struct {
	scale  float64
	of     *Interaction
	before time.Duration // the first byte, beside what was recorded
	passed time.Duration // of the recorded time, up to what was told last
	paced  bool          // the body is told in the pieces in which it came
}

// schedule is that of i's answer in the cassette called name, which was claimed
// nth times before.
func (l Latency) schedule(i *Interaction, nth int, name string) *schedule {
	if l == (Latency{}) {
		return nil
	}
	return &schedule{scale: l.Scale, of: i, before: l.sample(fmt.Sprintf("%s %s %d", name, i.ID, nth))}
}

// sample is how long a first byte takes: the same for the same seed.
func (l Latency) sample(seed string) time.Duration {
	sum := sha256.Sum256([]byte("serge-net latency " + seed))
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
	d := l.Mean
	switch {
	case l.Sigma > 0:
		d = time.Duration(min(float64(l.Mean)*math.Exp(l.Sigma*r.NormFloat64()), float64(latencyMost)))
	case l.Spread > 0:
		d += time.Duration(r.Int64N(2*int64(l.Spread)+1)) - l.Spread
	}
	return d
}

// until is how long to wait before what came at, since the request's end, is told.
func (s *schedule) until(at time.Duration) time.Duration {
	if s == nil {
		return 0
	}
	d := s.before
	s.before = 0
	if at > s.passed {
		d += time.Duration(s.scale * float64(at-s.passed))
		s.passed = at
	}
	return d
}

// pass notes that what came at was told, or said, whenever that was now.
func (s *schedule) pass(at time.Duration) {
	if s != nil {
		s.passed = max(s.passed, at)
	}
}

// chunk is how long to wait before the n-th chunk of the body.
func (s *schedule) chunk(n int) time.Duration {
	if s == nil || n >= len(s.of.Timing.Chunks) {
		return 0
	}
	return s.until(s.of.Timing.Wait + s.of.Timing.Chunks[n])
}

// pieces are those in which the body came, if it is known when each did and they
// make one of size bytes, as it is.
func (s *schedule) pieces(size int64) []Piece {
	if s == nil {
		return nil
	}
	for _, p := range s.of.Timing.Pieces {
		size -= p.Size
	}
	if s.paced = size == 0; !s.paced {
		return nil
	}
	return s.of.Timing.Pieces
}

// piece is how long to wait before a piece of the body of which left bytes are
// not told yet, where it is not recorded when each came: they come evenly over
// the time that all took.
func (s *schedule) piece(left int64) time.Duration {
	if s == nil || len(s.of.Timing.Chunks) > 0 || s.paced {
		return 0
	}
	t, size := s.of.Timing, s.of.Response.Body.Size
	return s.until(t.Wait + time.Duration(float64(t.Receive)*float64(size-left)/float64(size)))
}
