package cassette

import (
	"bytes"
	"testing"
)

// TestMessagePack holds that every JSON token comes back as it was written, in
// the bytes that the format's specification gives.
func TestMessagePack(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`null`, "\xc0"},
		{`true`, "\xc3"},
		{`0`, "\x00"},
		{`127`, "\x7f"},
		{`-32`, "\xe0"},
		{`-33`, "\xd2\xff\xff\xff\xdf"},
		{`5000000000`, "\xd3\x00\x00\x00\x01\x2a\x05\xf2\x00"},
		{`1.50`, "\xc7\x04\x011.50"},
		{`-0`, "\xc7\x02\x01-0"},
		{`"ab"`, "\xa2ab"},
		{`"\u0061"`, "\xc7\x08\x01\"\\u0061\""},
		{`[1,"a"]`, "\x92\x01\xa1a"},
		{`{"a":1,"a":2}`, "\x82\xa1a\x01\xa1a\x02"},
		{`{"base64":"AAEC"}`, "\x81\xa6base64\xc4\x03\x00\x01\x02"},
		{`{"base64":"no base64"}`, "\x81\xa6base64\xa9no base64"},
		{`18446744073709551615`, "\xc7\x14\x0118446744073709551615"},
	} {
		n, err := parseTree([]byte(c.json))
		if err != nil {
			t.Fatal(err)
		}
		got := appendNode(nil, "", n)
		if string(got) != c.want {
			t.Errorf("%s is %q; want %q", c.json, got, c.want)
		}
		back, err := unpack(string(got))
		if err != nil || back.compact() != c.json {
			t.Errorf("%s comes back as %v, %v", c.json, back, err)
		}
	}
}

// TestUnpack holds what else other programs may write, and what is refused.
func TestUnpack(t *testing.T) {
	for _, c := range []struct{ in, want, fault string }{
		{in: "\xcc\xff", want: "255"},
		{in: "\xd1\xff\x00", want: "-256"},
		{in: "\xdb\x00\x00\x00\x01a", want: `"a"`},
		{in: "\xdd\x00\x00\x00\x01\x01", want: "[1]"},
		{in: "", fault: "MessagePack at byte 0: it ends too early"},
		{in: "\x01\x01", fault: "MessagePack at byte 1: more than one value"},
		{in: "\xdd\xff\xff\xff\xff", fault: "MessagePack at byte 5: it ends too early"},
		{in: "\xdb\xff\xff\xff\xffa", fault: "MessagePack at byte 5: it ends too early"},
		{in: "\xcb\x00\x00\x00\x00\x00\x00\x00\x00", fault: "MessagePack at byte 1: type 0xcb, which no cassette has"},
		{in: "\xa1\xff", fault: "MessagePack at byte 2: text that is not UTF-8"},
		{in: "\x81\x01\x01", fault: "MessagePack at byte 2: a key that is no text"},
		{in: "\xc7\x01\x02x", fault: "MessagePack at byte 3: extension 2, which no cassette has"},
		{in: string(bytes.Repeat([]byte{0x91}, deepMost+2)), fault: "MessagePack at byte 10002: it nests too deep"},
	} {
		n, err := unpack(c.in)
		if c.fault != "" {
			if err == nil || err.Error() != c.fault {
				t.Errorf("unpack(%.20q) fails with %v; want %s", c.in, err, c.fault)
			}
			continue
		}
		if err != nil || n.compact() != c.want {
			t.Errorf("unpack(%q) = %v, %v; want %s", c.in, n, err, c.want)
		}
	}
}

// FuzzUnpack holds that nothing makes the reader panic, and that what it reads
// it writes such that the same is read again.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x01\xa1a\xc4\x01x"))
	f.Add([]byte("\xc7\x04\x011.50"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := unpack(string(b))
		if err != nil {
			return
		}
		first := appendNode(nil, "", n)
		again, err := unpack(string(first))
		if err != nil {
			t.Fatalf("unpack(%q), of %q: %v", first, b, err)
		}
		if second := appendNode(nil, "", again); !bytes.Equal(first, second) {
			t.Errorf("%q is written as %q, then as %q", b, first, second)
		}
	})
}
