package ws

import (
	"bytes"
	"compress/flate"
)

// Deflater compresses the messages of one direction. It is not safe for use by
// several goroutines at once.
//
// compress/flate always looks back 32 KiB. For a smaller window a Deflater
// begins anew each time a window is full, so that no distance is longer, nor
// refers to another message: any such stream is within what was negotiated, it
// is larger than it had to be.
type Deflater struct {
	takeover bool
	segment  int // bytes to begin anew after, 0 for never
	level    int
	begun    bool // a message is open
	w        *flate.Writer
	out      appender
}

// appender is a slice that is written to.
type appender struct{ b []byte }

// Write implements io.Writer.
func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}

// NewDeflater returns a Deflater for a window of 1<<bits bytes, bits from
// MinWindowBits to MaxWindowBits. takeover says that messages may refer to
// those before them.
func NewDeflater(bits int, takeover bool) *Deflater {
	checkBits(bits)
	switch {
	case bits < MaxWindowBits:
		return &Deflater{segment: 1 << bits, level: freshLevel}
	case takeover:
		return &Deflater{takeover: true, level: takeoverLevel}
	}
	return &Deflater{level: freshLevel}
}

// Levels of compress/flate. freshLevel is for what begins anew often: from
// level 2 on a Reset clears 640 KiB of tables, which costs several times what
// a message of 1 KiB does. takeoverLevel is for what goes on: BestSpeed forgets all
// at a message of less than 128 bytes, which most are. Measured: go test
// -bench Deflate ./ws, 2026-11-23, messages of 100 bytes become 9 and not 82.
const (
	freshLevel    = flate.BestSpeed
	takeoverLevel = 2
)

// tail is what each flush ends with and the end of a message leaves out (RFC
// 7692, section 7.2.1).
const tail = "\x00\x00\xff\xff"

// Append compresses b, a piece of a message, and appends what it became. All of
// b can be inflated from what was appended so far. fin says that b is the last
// of its message.
func (d *Deflater) Append(dst, b []byte, fin bool) []byte {
	d.out.b = dst
	switch {
	case d.w == nil:
		d.w, _ = flate.NewWriter(&d.out, d.level) // an error is of the level only
	case !d.begun && !d.takeover:
		d.w.Reset(&d.out)
	}
	d.begun = !fin
	for d.segment > 0 && len(b) > d.segment {
		d.write(b[:d.segment])
		d.w.Reset(&d.out)
		b = b[d.segment:]
	}
	d.write(b)
	if d.segment > 0 {
		d.w.Reset(&d.out)
	}
	dst = d.out.b
	d.out.b = nil
	if fin {
		dst = bytes.TrimSuffix(dst, []byte(tail))
	}
	return dst
}

// write compresses b and flushes. What it writes to cannot fail.
func (d *Deflater) write(b []byte) {
	_, _ = d.w.Write(b)
	_ = d.w.Flush()
}
