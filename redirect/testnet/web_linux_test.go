package testnet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// TestRoutes asks for each route by HTTP/1.1 and 2, over IPv4 and 6.
func TestRoutes(t *testing.T) {
	n := New(t)
	client := n.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, host := range []string{"http://" + V4Only, "https://" + V6Only, "https://" + H2} {
		for _, c := range []struct {
			method, path, header, body string
			status                     int
			want                       string
		}{
			{"GET", "/json", "", "", 200, JSON},
			{"GET", "/gzip", "", "", 200, JSON},
			{"GET", "/method?q=1", "", "", 200, "GET /method?q=1\n"},
			{"POST", "/echo", "Content-Type: application/json", `{"a":1}`, 200, `{"a":1}`},
			{"PUT", "/echo", "", "any\x00bytes\xff", 200, "any\x00bytes\xff"},
			{"GET", "/login", "", "", 200, "welcome\n"},
			{"GET", "/cookie", "", "", 401, "no session\n"},
			{"GET", "/cookie", "Cookie: " + Session, "", 200, "welcome back\n"},
			{"GET", "/me", "", "", 401, "who are you?\n"},
			{"GET", "/me", "Authorization: Bearer token-of-alice-7c1f", "", 200, `{"name":"alice"}` + "\n"},
			{"GET", "/me", "Authorization: Bearer token-of-bob-93aa", "", 200, `{"name":"bob"}` + "\n"},
			{"GET", "/count", "", "", 200, "1\n"},
			{"GET", "/count", "", "", 200, "2\n"},
			{"GET", "/slow?ms=1", "", "", 200, "at last\n"},
			{"HEAD", "/bytes?n=7", "", "", 200, ""},
			{"HEAD", "/redirect", "", "", 302, ""},
			{"GET", "/status?code=404", "", "", 404, ""},
			{"GET", "/early", "", "", 200, "after the hints\n"},
			{"GET", "/trailers", "", "", 200, "a body with a trailer\n"},
			{"GET", "/sse?n=2&gap=1", "", "", 200, "id: 0\nevent: tick\ndata: {\"tick\":0}\n\nid: 1\nevent: tick\ndata: {\"tick\":1}\n\n"},
			{"GET", "/nowhere", "", "", 404, "404 page not found\n"},
		} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, host+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				req.Header.Set(name, value)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Errorf("%s %s%s: %v", c.method, host, c.path, err)
				continue
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != c.want || resp.StatusCode != c.status || err != nil {
				t.Errorf("%s %s%s = %d %q, %v; want %d %q", c.method, host, c.path, resp.StatusCode, got, err, c.status, c.want)
			}
		}
	}
	if got := n.Hits()[V4Only+"/me"]; got != 3 {
		t.Errorf("Hits()[%s/me] = %d; want 3", V4Only, got)
	}
}

// TestAnswersBeyondBodies looks at hints, trailers, cookies and aborted answers.
func TestAnswersBeyondBodies(t *testing.T) {
	n := New(t)
	client := n.Client()
	for _, host := range []string{"http://" + WWW, "https://" + H2} {
		hints := 0
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") != "" {
				hints++
			}
			return nil
		}}
		get := func(path string) (*http.Response, error) {
			t.Helper()
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", host+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return resp, err
		}
		if _, err := get("/early"); err != nil || hints != 1 {
			t.Errorf("%s/early: %d hints, %v; want 1", host, hints, err)
		}
		if resp, err := get("/trailers"); err != nil || resp.Trailer.Get("X-Checksum") != "sum-of-22-bytes" {
			t.Errorf("%s/trailers: %v, %v", host, resp.Trailer, err)
		}
		if resp, err := get("/login"); err != nil || len(resp.Cookies()) != 2 {
			t.Errorf("%s/login: %v, %v; want two cookies", host, resp.Cookies(), err)
		}
		if resp, err := get("/redirect?to=/json"); err != nil || resp.Request.URL.Path != "/json" {
			t.Errorf("%s/redirect ended at %v, %v; want /json", host, resp.Request.URL, err)
		}
		if _, err := get("/abort"); err == nil {
			t.Errorf("%s/abort ended well", host)
		}
	}
}

// TestBytes compares a large body with its seed, with a length and chunked.
func TestBytes(t *testing.T) {
	n := New(t)
	const size = 8 << 20
	want := sha256.New()
	if _, err := io.CopyN(want, Random(7), size); err != nil {
		t.Fatal(err)
	}
	client := n.Client()
	for _, url := range []string{"http://" + WWW + "/bytes?n=8388608&seed=7", "https://" + H2 + "/bytes?n=8388608&seed=7&chunked=1"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		count, err := io.Copy(got, resp.Body)
		resp.Body.Close()
		if count != size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("%s: %d bytes, %v, sum %x; want %d, sum %x", url, count, err, got.Sum(nil), size, want.Sum(nil))
		}
	}
}

// TestWebSocket echoes messages in both kinds, after the server spoke first.
func TestWebSocket(t *testing.T) {
	n := New(t)
	for _, url := range []string{"ws://" + WWW + "/ws?greet=1", "wss://" + V6Only + "/ws?greet=1"} {
		d := websocket.Dialer{NetDialContext: n.Dial, TLSClientConfig: n.CA.clientConfig(), Subprotocols: []string{"echo.test"}}
		c, _, err := d.DialContext(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		type message struct {
			Kind int
			Data string
		}
		want := []message{{websocket.TextMessage, "welcome"}, {websocket.TextMessage, "héllo"}, {websocket.BinaryMessage, "\x00\xff"}}
		var got []message
		for i := range want {
			if i > 0 {
				if err := c.WriteMessage(want[i].Kind, []byte(want[i].Data)); err != nil {
					t.Fatal(err)
				}
			}
			kind, data, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, message{kind, string(data)})
		}
		if diff := cmp.Diff(want, got); diff != "" || c.Subprotocol() != "echo.test" {
			t.Errorf("%s: subprotocol %q, messages differ (-want +got):\n%s", url, c.Subprotocol(), diff)
		}
	}
}

// TestTCP talks to the raw ports.
func TestTCP(t *testing.T) {
	n := New(t)
	for _, c := range []struct {
		network, addr string
		secure        bool
		say, want     string
	}{
		{"tcp4", TCP + ":7", false, "ping", "ping"},
		{"tcp6", TCP + ":7", false, "ping", "ping"},
		{"udp4", TCP + ":7", false, "ping", "ping"},
		{"udp6", H3 + ":443", false, "quic?", "quic?"},
		{"tcp4", TCP + ":992", true, "ping", "ping"},
		{"tcp6", TCP + ":25", false, "", Banner},
		{"tcp4", TCP + ":25", false, "ehlo\r\nquit\r\n", Banner + "250 EHLO\r\n221 bye\r\n"},
	} {
		conn := dial(t, n, c.network, c.addr, c.secure)
		if got, err := say(conn, c.say, c.want); got != c.want || err != nil {
			t.Errorf("%s %s answers %q with %q, %v; want %q", c.network, c.addr, c.say, got, err, c.want)
		}
	}
	for key, want := range map[string]int{TCP + ":7": 2, TCP + ":7/udp": 1, H3 + ":443/udp": 1, TCP + ":992": 1, TCP + ":25": 2} {
		if got := n.Hits()[key]; got != want {
			t.Errorf("Hits()[%s] = %d; want %d", key, got, want)
		}
	}
	conn := dial(t, n, "tcp", TCP+":7", false)
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadByte(); err != io.EOF {
		t.Errorf("a half-closed echo: %v; want EOF", err)
	}
}

// TestUnreachable tells the ways in which a connection is not made, and the bad certificates.
func TestUnreachable(t *testing.T) {
	n := New(t)
	if _, err := n.Dial(t.Context(), "tcp", Refused+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %v; want ECONNREFUSED", Refused, err)
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		if _, err := n.Dial(t.Context(), network, Unroutable+":80"); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("%s %s: %v; want EHOSTUNREACH", network, Unroutable, err)
		}
	}
	if _, err := n.Dial(t.Context(), "tcp6", V4Only+":80"); err == nil {
		t.Errorf("%s has an IPv6 address", V4Only)
	}
	for _, host := range []string{SelfSigned, Expired, WrongName} {
		_, err := n.Client().Get("https://" + host + "/hello")
		if bad := (*tls.CertificateVerificationError)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v; want a certificate that does not verify", host, err)
		}
	}
}
