package mitm

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/mitm/http1"
)

func TestAim(t *testing.T) {
	for _, c := range []struct{ method, target, authority, rest string }{
		{"GET", "http://a.test/x?y=http://b/", "a.test", "/x?y=http://b/"},
		{"GET", "HTTP://a.test:8080", "a.test:8080", "/"},
		{"GET", "http://a.test?q", "a.test", "/?q"},
		{"OPTIONS", "http://a.test", "a.test", "*"},
		{"OPTIONS", "http://a.test/", "a.test", "/"},
		{"GET", "http://user:p@ss@[2001:db8::1]:81/", "[2001:db8::1]:81", "/"},
		{"GET", "https://a.test/", "", ""},
		{"GET", "ftp://a.test/", "", ""},
		{"GET", "/http://a.test/", "", ""},
		{"OPTIONS", "*", "", ""},
	} {
		authority, rest, err := aim(c.method, c.target)
		if authority != c.authority || rest != c.rest || (err != nil) != (c.rest == "") {
			t.Errorf("aim(%s, %q) = %q, %q, %v; want %q, %q", c.method, c.target, authority, rest, err, c.authority, c.rest)
		}
	}
}

// originForm is what becomes of the request head in.
func originForm(in string) (out string, h exchange.Head, ok bool) {
	d := http1.NewDecoder("http")
	d.Feed(exchange.Client, 0, []byte(in), func(e exchange.Event) {
		if e.Kind != exchange.KindHead || ok {
			return
		}
		h = *e.Head
		authority, rest, err := aim(h.Method, h.Target)
		if err != nil {
			return
		}
		head := http1.AppendHead(nil, &h)
		out, ok = string(toOrigin(&h, head, authority, rest)), true
	})
	return out, h, ok
}

// TestToOrigin changes nothing but what has to be.
func TestToOrigin(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{
			"plain", "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n",
			"GET /x HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n",
		},
		{
			"odd spacing and case", "GET http://a.test/ HTTP/1.1\r\nhOST:\tA.test \r\nx:1\r\nX:  2\r\nPROXY-AUTHORIZATION:Basic eA==\r\n\r\n",
			"GET / HTTP/1.1\r\nhOST:\tA.test \r\nx:1\r\nX:  2\r\n\r\n",
		},
		{
			"another Host", "GET http://a.test:81/ HTTP/1.1\r\nA: http://a.test:81/\r\nhost: b.test\r\n\r\n",
			"GET / HTTP/1.1\r\nA: http://a.test:81/\r\nhost: a.test:81\r\n\r\n",
		},
		{"no Host", "GET http://a.test/ HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n"},
		{"empty lines before", "\r\n\r\nGET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"},
	} {
		if got, _, _ := originForm(c.in); got != c.want {
			t.Errorf("%s: %q becomes %q; want %q", c.name, c.in, got, c.want)
		}
	}
}

// FuzzToOrigin: what comes out is a request that another reader takes for one to
// the same host, without the proxy's fields.
func FuzzToOrigin(f *testing.F) {
	f.Add("GET http://a.test/x HTTP/1.1\r\nHost: b\r\nProxy-Connection: x\r\n\r\n")
	f.Add("\r\nGET http://u@[::1]:80?q HTTP/1.0\r\nx:1\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		out, h, ok := originForm(in)
		if !ok {
			return
		}
		again, was, _ := strings.Cut(out, " ")
		if again != h.Method || strings.HasPrefix(was, "http://") {
			t.Errorf("%q becomes %q", in, out)
		}
		if strings.Count(out, "\n") > strings.Count(in, "\n")+1 {
			t.Errorf("%q gains lines: %q", in, out)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(out)))
		if err != nil {
			return // it is stricter than we are
		}
		authority, _, _ := aim(h.Method, h.Target)
		if theirs.Host != authority && !strings.EqualFold(theirs.Host, authority) {
			t.Errorf("%q is for %q, and for %q once it is %q", in, authority, theirs.Host, out)
		}
		if theirs.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("%q keeps Proxy-Authorization: %q", in, out)
		}
	})
}
