package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestListenAddr(t *testing.T) {
	for in, want := range map[string]string{
		"8080": "127.0.0.1:8080", "0": "127.0.0.1:0", ":8080": ":8080", "[::1]:1": "[::1]:1", "a.test:80": "a.test:80",
		"": "", "x": "", "70000": "", "-1": "", "::1": "", "host": "", "a:b": "",
	} {
		var got string
		if err := (listenAddr{&got}).Set(in); got != want || (err != nil) != (want == "") {
			t.Errorf("--listen %q is %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestListenConfigured: flag, environment, file, default.
func TestListenConfigured(t *testing.T) {
	for _, c := range []struct {
		name, file, env, flag, want string
	}{
		{"default", "", "", "", defaultListen},
		{"file", "[serge-net]\nproxy_port = 9001\n", "", "", "127.0.0.1:9001"},
		{"environment", "[serge-net]\nproxy_port = 9001\n", "9002", "", "127.0.0.1:9002"},
		{"flag", "[serge-net]\nproxy_port = 9001\n", "9002", "[::1]:9003", "[::1]:9003"},
		{"not a port", "[serge-net]\nproxy_port = 90010\n", "", "", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "serge-net.toml"), []byte(c.file), 0o644); err != nil {
			t.Fatal(err)
		}
		got := defaultListen
		cmd := &cobra.Command{Use: "proxy"}
		cmd.Flags().Var(listenAddr{&got}, "listen", "")
		if c.flag != "" {
			if err := cmd.ParseFlags([]string{"--listen", c.flag}); err != nil {
				t.Fatal(err)
			}
		}
		err := configure(cmd, func(k string) (string, bool) { return c.env, k == "SERGE_LISTEN" && c.env != "" }, dir)
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), "90010") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestNotOurselves(t *testing.T) {
	for _, c := range []struct {
		us, to string
		want   bool
	}{
		{"127.0.0.1:8888", "127.0.0.1:8888", true},
		{"127.0.0.1:8888", "[::ffff:127.0.0.1]:8888", true},
		{"127.0.0.1:8888", "0.0.0.0:8888", true},
		{"127.0.0.1:8888", "127.0.0.1:8889", false},
		{"127.0.0.1:8888", "127.0.0.2:8888", false},
		{"127.0.0.1:8888", "203.0.113.1:8888", false},
		{"[::]:8888", "127.0.0.2:8888", true},
		{"[::]:8888", "[::1]:8888", true},
		{"0.0.0.0:8888", "203.0.113.1:8888", false},
	} {
		err := notOurselves(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.us)))("tcp", c.to, nil)
		if (err != nil) != c.want {
			t.Errorf("listening on %s, connecting to %s: %v; want refused: %t", c.us, c.to, err, c.want)
		}
	}
}
