package ws

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"testing"
)

// TestInflate has the examples of RFC 7692, section 7.2.3, and the two forms
// that are taken beyond it.
func TestInflate(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages []string
		want     []string
		takeover bool
	}{
		{"fixed", []string{"\xf2\x48\xcd\xc9\xc9\x07\x00"}, []string{"Hello"}, true},
		{"takeover", []string{"\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf2\x00\x11\x00\x00"}, []string{"Hello", "Hello"}, true},
		{"stored", []string{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"}, []string{"Hello"}, true},
		{"final", []string{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "\xf2\x00\x11\x00\x00"}, []string{"Hello", "Hello"}, true},
		{"two blocks", []string{"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"}, []string{"Hello"}, true},
		{"empty", []string{"\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00"}, []string{"", "Hello"}, true},
		{"no payload", []string{"", "\xf2\x48\xcd\xc9\xc9\x07\x00"}, []string{"", "Hello"}, true},
		{"final without an empty block", []string{"\xf3\x48\xcd\xc9\xc9\x07\x00", "\xf2\x00\x11\x00\x00"}, []string{"Hello", "Hello"}, true},
		{"no takeover", []string{"\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00"}, []string{"Hello", "Hello"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1, 100} {
				f := NewInflater(MaxWindowBits, c.takeover)
				for i, m := range c.messages {
					if got, err := inflate(f, []byte(m), n); err != nil || string(got) != c.want[i] {
						t.Errorf("%x in pieces of %d = %q, %v; want %q", m, n, got, err, c.want[i])
					}
				}
			}
		})
	}
}

// TestCorrupt refuses what no compressor makes.
func TestCorrupt(t *testing.T) {
	for _, c := range []struct{ name, in, why string }{
		{"reserved block", "\x06", "reserved type of block"},
		{"stored length", "\x00\x01\x00\x01\x00x", "length of a stored block"},
		{"distance without history", "\xf2\x00\x11\x00\x00", "distance beyond the window"},
		{"reserved distance", "\x4b\x04\x3e", "reserved distance"},
		{"reserved length", "\x1a\x03", "reserved length"},
		{"number of codes", "\xfc\xff\xff", "number of codes"},
		{"code for lengths", "\x04\x00\x92\x04", "lengths of the code for lengths"},
		{"in a block", "\xf2\x48", "message ends within a block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewInflater(MaxWindowBits, true)
			_, err := inflate(f, []byte(c.in), 1)
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeInvalid || e.Why != "compressed data: "+c.why {
				t.Fatalf("inflate(%x): %v, want %s", c.in, err, c.why)
			}
			if _, again := inflate(f, nil, 1); again != err {
				t.Errorf("End after the error: %v", again)
			}
		})
	}
}

// TestSmallWindow inflates with the negotiated window what was deflated for
// it, and refuses what was deflated for a larger one.
func TestSmallWindow(t *testing.T) {
	far := bytes.Repeat(mixed(600), 2)
	for bits := MinWindowBits; bits <= MaxWindowBits; bits++ {
		packed := NewDeflater(bits, true).Append(nil, far, true)
		if got, err := inflate(NewInflater(bits, true), packed, 50); err != nil || !bytes.Equal(got, far) {
			t.Errorf("bits %d: %v", bits, err)
		}
		large := NewDeflater(MaxWindowBits, true).Append(nil, far, true)
		if _, err := inflate(NewInflater(bits, true), large, 50); (err == nil) != (1<<bits >= 600) {
			t.Errorf("bits %d of a larger window: %v", bits, err)
		}
	}
	for _, bits := range []int{7, 16} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewInflater(%d) did not panic", bits)
				}
			}()
			NewInflater(bits, true)
		}()
	}
}

// TestInflateAsFlate inflates what each level of compress/flate makes.
func TestInflateAsFlate(t *testing.T) {
	sizes := []int{0, 1, 100, 5000, 32769}
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 2, 6, 9} {
		for _, n := range sizes {
			t.Run(fmt.Sprintf("level %d/%d", level, n), func(t *testing.T) {
				want := mixed(n)
				var b bytes.Buffer
				w, err := flate.NewWriter(&b, level)
				if err != nil {
					t.Fatal(err)
				}
				f := NewInflater(MaxWindowBits, true)
				for range 2 { // the second refers to the first
					b.Reset()
					_, _ = w.Write(want)
					_ = w.Flush()
					got, err := inflate(f, bytes.TrimSuffix(b.Bytes(), []byte(tail)), 777)
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%d bytes of %d, %v", len(got), n, err)
					}
				}
			})
		}
	}
}

// TestEmit ends with the error of who takes what is inflated.
func TestEmit(t *testing.T) {
	stop := errors.New("enough")
	packed := NewDeflater(MaxWindowBits, true).Append(nil, make([]byte, 1<<20), true)
	for _, bits := range []int{8, 15} {
		calls := 0
		emit := func([]byte) error { calls++; return stop }
		f := NewInflater(bits, true)
		if err := f.Feed(packed, emit); err != stop || calls != 1 {
			t.Errorf("Feed: %v after %d calls, want %v after 1", err, calls, stop)
		}
	}
}
