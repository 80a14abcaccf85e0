package main

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A shelf is an origin that has something for each client of the matrix: JSON, a
// bucket, a WebSocket and a gRPC method that echo, and a tiny package in the form
// of each package registry. It listens twice, by the internet's CA and by one of
// its own.
type shelf struct {
	*rig
	origin      string // https://HOST:PORT
	otherOrigin string
	otherCA     string // the file with the CA of otherOrigin
	hits        atomic.Int64
}

// The ports of the two.
const (
	shelfPort      = 8443
	shelfOtherPort = 8444
)

func newShelf(r *rig) *shelf {
	r.t.Helper()
	s := &shelf{rig: r}
	ca, err := testnet.NewCA()
	if err != nil {
		r.t.Fatal(err)
	}
	s.otherCA = filepath.Join(r.t.TempDir(), "other.pem")
	if err := os.WriteFile(s.otherCA, ca.PEM, 0o644); err != nil {
		r.t.Fatal(err)
	}
	s.origin = s.serve(r.net.CA, shelfPort)
	s.otherOrigin = s.serve(ca, shelfOtherPort)
	return s
}

// serve serves s on port with a certificate by ca, until the test ends.
func (s *shelf) serve(ca *testnet.CA, port int) (origin string) {
	t, www := s.t, testnet.Lookup(testnet.WWW)
	t.Helper()
	cert, err := ca.Issue(testnet.Leaf{Names: []string{www.Name}, Addrs: www.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   s.handler(),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0), // of clients that do not trust it
	}
	done := make(chan struct{}, 2)
	for _, a := range www.Addrs() {
		l, err := s.net.Listen("tcp", net.JoinHostPort(a.String(), strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		go func() { server.ServeTLS(l, "", ""); done <- struct{}{} }()
	}
	t.Cleanup(func() {
		server.Close()
		for range www.Addrs() {
			<-done
		}
	})
	return "https://" + net.JoinHostPort(www.Name, strconv.Itoa(port))
}

// handler is what is on s.
func (s *shelf) handler() http.Handler {
	mux := http.NewServeMux()
	text := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, body) // the client is gone, or not
		})
	}
	text("/json", "application/json", testnet.JSON)
	text("/bucket/json", "application/json", testnet.JSON)
	text("/html", "text/html", "<!doctype html><link rel=icon href=data:,><title>testnet</title><p>"+testnet.JSON)
	mux.HandleFunc("/ws", echoSocket)
	mux.HandleFunc("/testnet.Echo/Say", echoCall)
	registries(text)
	mux.HandleFunc("/cargo/config.json", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, `{"dl":"https://%s/cargo/dl"}`, req.Host)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.hits.Add(1)
		mux.ServeHTTP(w, req)
	})
}

// registries puts the package "testnet" into one of each kind.
func registries(text func(path, kind, body string)) {
	const plain = "text/plain"
	const hash = "2f7ff53f3d0e2e7e6f3b6b1d1d0f5ad5ae0b3c11"
	text("/git/info/refs", plain, hash+"\trefs/heads/\"testnet\"\n")
	text("/git/HEAD", plain, "ref: refs/heads/main\n")

	text("/simple/testnet/", "text/html", `<!doctype html><title>testnet</title><a href="testnet-1.0-py3-none-any.whl">testnet-1.0-py3-none-any.whl</a>`)

	const pom = "<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>testnet</artifactId><version>1</version><packaging>pom</packaging></project>\n"
	text("/maven/test/testnet/1/testnet-1.pom", "text/xml", pom)

	const crate = `{"name":"testnet","vers":"1.0.0","deps":[],"cksum":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","features":{},"yanked":false}` + "\n"
	text("/cargo/te/st/testnet", plain, crate)

	gem := fmt.Sprintf("---\n1.0.0 |checksum:%x\n", sha256.Sum256(nil))
	text("/gems/info/testnet", plain, gem)
	text("/gems/versions", plain, fmt.Sprintf("created_at: 2026-01-01T00:00:00Z\n---\ntestnet 1.0.0 %x\n", md5.Sum([]byte(gem))))
	text("/gems/names", plain, "---\ntestnet\n")
}

// echoSocket is a WebSocket that echoes.
func echoSocket(w http.ResponseWriter, req *http.Request) {
	ws, err := new(websocket.Upgrader).Upgrade(w, req, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil || ws.WriteMessage(kind, b) != nil {
			return
		}
	}
}

// echoCall is a unary gRPC method whose answer is its request, frame and all:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
func echoCall(w http.ResponseWriter, req *http.Request) {
	b, err := io.ReadAll(io.LimitReader(req.Body, 1<<10))
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Write(b)
	w.Header().Set("Grpc-Status", "0")
}
