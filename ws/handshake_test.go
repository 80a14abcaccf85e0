package ws

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAccept has the example of RFC 6455, section 1.3.
func TestAccept(t *testing.T) {
	if got, want := Accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Errorf("Accept = %q, want %q", got, want)
	}
	key := Key([16]byte([]byte("the sample nonce")))
	if key != "dGhlIHNhbXBsZSBub25jZQ==" || !ValidKey(key) {
		t.Errorf("Key = %q, valid %v", key, ValidKey(key))
	}
	for _, bad := range []string{"", "x", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ"} {
		if ValidKey(bad) {
			t.Errorf("ValidKey(%q)", bad)
		}
	}
}

func TestSubprotocols(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want []string
		ok   bool
	}{
		{nil, nil, true},
		{[]string{"graphql-transport-ws, graphql-ws", "json"}, []string{"graphql-transport-ws", "graphql-ws", "json"}, true},
		{[]string{" , a ,\t,b,"}, []string{"a", "b"}, true},
		{[]string{"a, a"}, nil, false},
		{[]string{"a b"}, nil, false},
		{[]string{"a;b"}, nil, false},
		{[]string{"gr\u00fcn"}, nil, false},
	} {
		got, err := Subprotocols(c.in)
		if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != c.ok {
			t.Errorf("Subprotocols(%q): %v (-want +got):\n%s", c.in, err, diff)
		}
	}
}

// TestExtensions has the examples of RFC 6455, section 9.1, and RFC 7692, section 7.
func TestExtensions(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // printed again, joined by commas; "" for an error
	}{
		{"foo", "foo"},
		{"bar; baz=2", "bar; baz=2"},
		{`foo, bar; baz="2" , x;y ; z = 1`, "foo,bar; baz=2,x; y; z=1"},
		{`foo; a="q\uoted"`, "foo; a=quoted"},
		{"permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate", "permessage-deflate; client_max_window_bits; server_max_window_bits=10,permessage-deflate"},
		{"foo bar", ""}, {"foo;", ""}, {"foo; a=", ""}, {`foo; a=""`, ""}, {`foo; a="b c"`, ""}, {`foo; a="b`, ""}, {"; a", ""}, {`foo; a="b"c`, ""},
	} {
		got, err := Extensions([]string{c.in})
		var all []string
		for _, x := range got {
			all = append(all, x.String())
		}
		if s := strings.Join(all, ","); s != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Extensions(%q) = %q, %v; want %q", c.in, s, err, c.want)
		}
	}
}

// TestParams has offers, the answer to them of a server that would like want,
// and whether the client takes it (RFC 7692, section 7.1).
func TestParams(t *testing.T) {
	for _, c := range []struct {
		offer, like, want string
	}{
		{"", "", ""},
		{"; client_max_window_bits", "", ""},
		{"; client_max_window_bits", "; client_max_window_bits=10", "; client_max_window_bits=10"},
		{"; client_max_window_bits=9", "; client_max_window_bits=10", "; client_max_window_bits=9"},
		{"", "; client_max_window_bits=10", ""},
		{"; server_max_window_bits=10", "", "; server_max_window_bits=10"},
		{"; server_max_window_bits=10", "; server_max_window_bits=12", "; server_max_window_bits=10"},
		{"", "; server_max_window_bits=12", "; server_max_window_bits=12"},
		{"; server_no_context_takeover", "; client_no_context_takeover", "; server_no_context_takeover; client_no_context_takeover"},
	} {
		offer, like := params(t, c.offer, true), params(t, c.like, false)
		got := like.Answer(offer)
		if s := got.String(); s != PermessageDeflate+c.want {
			t.Errorf("%q answers %q with %q, want %q", c.like, c.offer, s, c.want)
		}
		if err := offer.Check(params(t, strings.TrimPrefix(got.String(), PermessageDeflate), false)); err != nil {
			t.Errorf("the answer to %q: %v", c.offer, err)
		}
		if printed := params(t, strings.TrimPrefix(offer.String(), PermessageDeflate), true); printed != offer {
			t.Errorf("%+v printed and parsed is %+v", offer, printed)
		}
	}
}

// params parses permessage-deflate with the parameters s.
func params(t *testing.T, s string, offer bool) Params {
	t.Helper()
	x, err := Extensions([]string{PermessageDeflate + s})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseParams(x[0], offer)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParamsRefused(t *testing.T) {
	for _, s := range []string{
		"x-webkit-deflate-frame", "permessage-deflate; unknown", "permessage-deflate; server_max_window_bits",
		"permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
		"permessage-deflate; server_max_window_bits=08", "permessage-deflate; client_max_window_bits",
		"permessage-deflate; client_max_window_bits=+9", "permessage-deflate; client_no_context_takeover=1",
		"permessage-deflate; server_no_context_takeover=1",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
	} {
		x, err := Extensions([]string{s})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := ParseParams(x[0], false); err == nil {
			t.Errorf("ParseParams(%q) = %+v", s, p)
		}
	}
	for _, c := range []struct{ offer, answer string }{
		{"; server_no_context_takeover", ""},
		{"; server_max_window_bits=10", ""},
		{"; server_max_window_bits=10", "; server_max_window_bits=11"},
		{"", "; client_max_window_bits=10"},
	} {
		if params(t, c.offer, true).Check(params(t, c.answer, false)) == nil {
			t.Errorf("offer %q takes the answer %q", c.offer, c.answer)
		}
	}
}

// TestWindows holds what an answer means for the two directions.
func TestWindows(t *testing.T) {
	p := params(t, "; server_max_window_bits=9; client_no_context_takeover", false)
	if bits, takeover := p.Server(); bits != 9 || !takeover {
		t.Errorf("Server() = %d, %v", bits, takeover)
	}
	if bits, takeover := p.Client(); bits != MaxWindowBits || takeover {
		t.Errorf("Client() = %d, %v", bits, takeover)
	}
}
