package mitm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestParseSocksRequest(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     socksRequest
		rest     string
		reply    socksReply // of the error; 0: none
	}{
		{"IPv4", "\x05\x01\x00\x01\xcb\x00\x71\x0a\x01\xbbTLS", socksRequest{1, "203.0.113.10", 443}, "TLS", 0},
		{"IPv6", "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", socksRequest{1, "2001:db8::1", 80}, "", 0},
		{"mapped", "\x05\x01\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x0a\x00\x50", socksRequest{1, "203.0.113.10", 80}, "", 0},
		{"name", "\x05\x03\x00\x03\x06a.test\x1f\x90", socksRequest{3, "a.test", 8080}, "", 0},
		{"other version", "\x04\x01\x00\x01\x00\x00\x00\x00\x00\x00", socksRequest{}, "", socksFailure},
		{"other type", "\x05\x01\x00\x02\x00\x00\x00\x00\x00\x00", socksRequest{}, "", socksNoAddresses},
	} {
		got, n, err := parseSocksRequest([]byte(c.in))
		var asked *socksError
		if c.reply != 0 {
			if !errors.As(err, &asked) || asked.reply != c.reply {
				t.Errorf("%s: %v; want reply %d", c.name, err, c.reply)
			}
			continue
		}
		if got != c.want || err != nil || c.in[n:] != c.rest {
			t.Errorf("%s: %+v, %d, %v; want %+v", c.name, got, n, err, c.want)
		}
		for short := range n {
			if _, n, err := parseSocksRequest([]byte(c.in[:short])); n != 0 || err != nil {
				t.Errorf("%s, its first %d bytes: %d, %v; want more to be needed", c.name, short, n, err)
			}
		}
	}
}

func TestReplyTo(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("connect to x: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)})
	}
	for _, c := range []struct {
		err  error
		want socksReply
	}{
		{nil, socksGranted},
		{dial(syscall.ECONNREFUSED), socksRefused},
		{dial(wsaConnRefused), socksRefused},
		{dial(syscall.ENETUNREACH), socksNoNetwork},
		{dial(syscall.EHOSTUNREACH), socksNoHost},
		{fmt.Errorf("x: %w", &net.DNSError{IsNotFound: true}), socksNoHost},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), socksNoHost},
		{dial(ErrOurselves), socksForbidden},
		{errors.New("it answered 403"), socksFailure},
	} {
		if got := replyTo(c.err); got != c.want {
			t.Errorf("replyTo(%v) = %d; want %d", c.err, got, c.want)
		}
	}
}

// FuzzSocks: never a panic, nothing read that is not there, and what is taken
// is taken alike however much follows.
func FuzzSocks(f *testing.F) {
	f.Add([]byte("\x05\x01\x00"))
	f.Add([]byte("\x05\x01\x00\x03\x06a.test\x1f\x90"))
	f.Add([]byte("\x05\x01\x00\x01\xcb\x00\x71\x0a\x01\xbb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if methods, n := parseSocksGreeting(b); n > len(b) || n > 0 && len(methods) != n-2 {
			t.Errorf("greeting %q: %q, %d", b, methods, n)
		}
		r, n, err := parseSocksRequest(b)
		if n > len(b) || err != nil && n != 0 {
			t.Fatalf("%q: %d, %v", b, n, err)
		}
		if n == 0 {
			return
		}
		if again, m, err := parseSocksRequest(append(b[:n:n], "more"...)); again != r || m != n || err != nil {
			t.Errorf("%q: %+v, %d; alone %+v, %d, %v", b, r, n, again, m, err)
		}
	})
}
