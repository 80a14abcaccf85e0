package testnet

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testPatience is how long a test waits for a server that should answer at once.
const testPatience = 5 * time.Second

// dial connects to addr, with TLS if secure, and closes when t ends.
func dial(t *testing.T, n *Net, network, addr string, secure bool) net.Conn {
	t.Helper()
	c, err := n.Dial(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	if !secure {
		return c
	}
	config := n.CA.clientConfig()
	config.ServerName, _, _ = net.SplitHostPort(addr)
	return tls.Client(c, config)
}

// say writes request and reads as many bytes as want has.
func say(c net.Conn, request, want string) (got string, err error) {
	if request != "" { // an empty write would meet a reset that the read is to meet
		if _, err := io.WriteString(c, request); err != nil {
			return "", err
		}
	}
	b := make([]byte, len(want))
	n, err := io.ReadFull(c, b)
	return string(b[:n]), err
}

// TestOddForms asks for each form and compares the bytes, and how it ended.
func TestOddForms(t *testing.T) {
	n := New(t)
	for _, server := range []struct {
		network, port string
		secure        bool
	}{{"tcp4", ":80", false}, {"tcp6", ":443", true}} {
		for _, o := range OddForms() {
			t.Run(o.Name+server.port, func(t *testing.T) {
				c := dial(t, n, server.network, OddHost+server.port, server.secure)
				for _, s := range []struct{ request, want string }{{o.Request, o.Interim}, {o.Body, o.Answer}} {
					got, err := say(c, s.request, s.want)
					if diff := cmp.Diff(s.want, got); diff != "" || err != nil {
						t.Fatalf("%s: %v, answer differs (-want +got):\n%s", o.Name, err, diff)
					}
				}
				checkAfter(t, c, o)
			})
		}
	}
}

// checkAfter checks that the connection goes on or ends as o says.
func checkAfter(t *testing.T, c net.Conn, o Odd) {
	t.Helper()
	switch o.After {
	case KeepOpen:
		plain := OddForms()[0]
		if got, err := say(c, plain.Request, plain.Answer); got != plain.Answer || err != nil {
			t.Errorf("next answer: %q, %v; want %q", got, err, plain.Answer)
		}
	case UpgradeEcho:
		if got, err := say(c, "ping\x00\n", "ping\x00\n"); got != "ping\x00\n" || err != nil {
			t.Errorf("echo: %q, %v", got, err)
		}
	case CloseAfter:
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the answer: %d bytes, %v; want EOF", n, err)
		}
	case ResetAfter:
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the answer: %d bytes, %v; want a reset", n, err)
		}
	}
}

// TestPipelining sends several requests at once.
func TestPipelining(t *testing.T) {
	n := New(t)
	c := dial(t, n, "tcp", OddHost+":80", false)
	var requests, want string
	for _, o := range OddForms() {
		if o.After == KeepOpen && !o.Dribble && o.Body == "" {
			requests += o.Request
			want += o.Answer
		}
	}
	got, err := say(c, requests, want)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("pipelined: %v, answers differ (-want +got):\n%s", err, diff)
	}
}

// TestMirror checks that requests come back as they were sent.
func TestMirror(t *testing.T) {
	n := New(t)
	c := dial(t, n, "tcp", OddHost+":443", true)
	for _, request := range []string{
		"GET /odd/mirror?a=1 HTTP/1.1\r\nhost:odd\r\nX-Dup: 1\r\nx-dup:  2 \r\n\r\n",
		"POST /odd/mirror HTTP/1.1\nHost: odd\nContent-Length: 3\n\nabc",
		"PUT /odd/mirror HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nX-Trail: 1\r\n\r\n",
	} {
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		var head bytes.Buffer
		for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); head.Write(b) {
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := say(c, "", request); got != request || err != nil {
			t.Errorf("mirror = %q, %v; want %q", got, err, request)
		}
	}
}

// TestOddCurl checks that curl ends with every form that a plain GET asks for.
func TestOddCurl(t *testing.T) {
	n := New(t)
	const timedOut = 28
	for _, o := range OddForms() {
		if !strings.HasPrefix(o.Request, "GET") || o.After == UpgradeEcho {
			continue
		}
		out, err := n.Command("curl", "-sS", "--max-time", "5", "-i", "http://"+OddHost+OddPath(o.Name)).Output()
		exit := (*exec.ExitError)(nil)
		if errors.As(err, &exit) && exit.ExitCode() == timedOut {
			t.Errorf("curl %s timed out after %q", o.Name, out)
		}
		if n.Hits()[OddHost+OddPath(o.Name)] == 0 {
			t.Errorf("curl %s did not reach the origin", o.Name)
		}
		t.Logf("curl %s: %v", o.Name, err)
	}
}
