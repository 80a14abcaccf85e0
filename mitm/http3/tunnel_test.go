package http3

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
)

// TestDecoderTunnel names tunnels, and tells nothing else of them: also of one whose
// request waits for a table.
func TestDecoderTunnel(t *testing.T) {
	const c, s = exchange.Client, exchange.Server
	w := newTalk()
	connect := func(protocol string) []byte {
		return headers(":method", "CONNECT", ":protocol", protocol, ":scheme", "https", ":path", "/chat", ":authority", "a")
	}
	for i, protocol := range []string{"websocket", "webtransport", "connect-udp"} {
		stream := uint64(4 * i)
		w.say(stream, c, i, connect(protocol)).say(stream, s, i, headers(":status", "200"), frame(frameData, 'x'))
		w.fin(stream, c).fin(stream, s)
	}
	want := []string{"0 WebSocket over HTTP/3", "4 WebTransport over HTTP/3", "8 connect-udp over HTTP/3"}
	if w.err != nil || len(w.got) > 0 || !cmp.Equal(want, w.strange) {
		t.Errorf("%v, told %v, strange %q; want %q", w.err, w.got, w.strange, want)
	}
}

// TestServeTunnel has the head of such a request answered at once, whatever follows,
// and reset if it is not.
func TestServeTunnel(t *testing.T) {
	c := served(t, func(e exchange.Event, answer func(exchange.Event) error) error {
		if e.Kind != exchange.KindHead || e.Head.Target != "/chat" {
			return nil
		}
		for _, a := range []exchange.Event{head(501), data("no"), end(exchange.End{})} {
			if err := answer(a); err != nil {
				return err
			}
		}
		return nil
	})
	for path, want := range map[string][]string{"/chat": {"s0 501", "s0 data no"}, "/other": {"reset 0x102"}} {
		got := exchanged(t, c, headers(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", path), frame(frameData, 'x'))
		if !cmp.Equal(want, got) {
			t.Errorf("%s (-want +got):\n%s", path, cmp.Diff(want, got))
		}
	}
}

// control is a control stream with a SETTINGS frame of these pairs, and more.
func control(more []byte, pairs ...uint64) []byte {
	var payload []byte
	for _, v := range pairs {
		payload = quicvarint.Append(payload, v)
	}
	return slices.Concat([]byte{streamControl}, frame(frameSettings, payload...), more)
}

// TestOffer takes the offer of tunnels away, but from who offers WebTransport, and
// leaves all else.
func TestOffer(t *testing.T) {
	long := append([]byte{streamControl}, frame(frameSettings, settingConnect, 0x40, 1)...) // a value of two bytes
	for _, c := range []struct {
		name     string
		in, want []byte
	}{
		{"tunnels", control([]byte{7, 1, 4}, settingTable, 100, settingConnect, 1, 0x33, 1), control([]byte{7, 1, 4}, settingTable, 100, settingConnect, 0, 0x33, 1)},
		{"a longer value", long, append([]byte{streamControl}, frame(frameSettings, settingConnect, 0x40, 0)...)},
		{"WebTransport", control(nil, settingConnect, 1, settingTransport, 1), nil},
		{"WebTransport of a draft", control(nil, settingTransportDraft, 1, settingConnect, 1), nil},
		{"no tunnels", control(nil, settingTable, 100), nil},
		{"no settings", control([]byte("more")), nil},
		{"another stream", []byte{streamEncoder, 4, 2, settingConnect, 1}, nil},
		{"another frame", []byte{streamControl, frameHeaders, 2, settingConnect, 1}, nil},
		{"malformed", []byte{streamControl, frameSettings, 1, settingConnect, 1}, nil},
		{"cut", control(nil, settingConnect, 1)[:3], nil},
		{"endless", append(append([]byte{streamControl, frameSettings}, quicvarint.Append(nil, maxSettings)...), make([]byte, maxSettings+9)...), nil},
		{"too long", append(append([]byte{streamControl, frameSettings}, quicvarint.Append(nil, 1<<20)...), settingConnect, 1), nil},
	} {
		if c.want == nil {
			c.want = c.in
		}
		for _, n := range []int{1, 3, len(c.in)} {
			if got := offered(c.in, n); !bytes.Equal(got, c.want) {
				t.Errorf("%s, %d at a time: %x; want %x", c.name, n, got, c.want)
			}
		}
	}
}

// offered is what an Offer makes of b, n bytes at a time.
func offered(b []byte, n int) []byte {
	var f Offer
	var got []byte
	for chunk := range slices.Chunk(b, n) {
		got = append(got, f.Edit(chunk)...)
	}
	return append(got, f.Rest()...)
}

// FuzzOffer: what passes is as long, however it comes, and makes no offer.
func FuzzOffer(f *testing.F) {
	f.Add(control([]byte{7, 1, 4}, settingTable, 100, settingConnect, 1))
	f.Add(control(nil, settingConnect, 1, settingTransport, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		whole := offered(b, len(b))
		if len(whole) != len(b) {
			t.Errorf("%x has %d bytes; want %d", whole, len(whole), len(b))
		}
		if again := offered(whole, len(b)); len(b) < maxSettings && !bytes.Equal(again, whole) {
			t.Errorf("edited again: %x; want %x", again, whole)
		}
		if slow := offered(b, 1); len(b) < maxSettings && !bytes.Equal(slow, whole) {
			t.Errorf("by the byte: %x; want %x", slow, whole)
		}
	})
}
