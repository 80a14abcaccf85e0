package http2

import (
	"io"
	"time"

	"golang.org/x/net/http2"
)

// What a client may send that asks for nothing: resets, settings, pings, empty
// frames, window updates. Clients at work send fewer of these than they get answers
// and data, which pay for them; floods (CVE-2019-9511 to 9518, CVE-2023-44487)
// live on them.
const (
	calmMost   = 2 * MaxStreams // at once: a client may reset all that it has open
	calmRate   = 1000           // and a second, for nothing
	calmAnswer = 8              // and for an answer
	calmData   = 4              // and for a DATA frame that was worth it
	calmWorth  = 1 << 10        // bytes: that, or all there was to send
	calmBomb   = 256            // is what fields beyond MaxFields cost: a millisecond to read, from 10 KiB
)

// calm counts what a client may still send that asks for nothing.
type calm struct {
	left int
	at   time.Time // when it was given some for nothing
}

// spend takes n, and reports whether that much was left.
func (c *calm) spend(n int) bool {
	if c.left -= n; c.left >= 0 {
		return true
	}
	now := time.Now()
	c.earn(int(min(now.Sub(c.at).Seconds()*calmRate, calmMost)))
	c.at = now
	return c.left >= 0
}

// earn gives n.
func (c *calm) earn(n int) { c.left = min(c.left+n, calmMost) }

// idle is what f costs of a client's calm, before its stream is known.
func idle(f http2.Frame) int {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if f.Truncated {
			return calmBomb
		}
		return 0
	case *http2.DataFrame:
		if len(f.Data()) > 0 || f.StreamEnded() {
			return 0
		}
	case *http2.SettingsFrame:
		return 1 + f.NumSettings()
	}
	return 1
}

// allowance reads up to left bytes, then fails: a field block takes as many
// frames as the client likes (CVE-2024-27316), and is one read of the framer.
type allowance struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}
