package bench

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// grpcPeers is the module of the server that answers calls: grpc-go, with the
// interoperability tests' service.
const grpcPeers = "../cmd/serge-net/testdata/grpc"

// unaryRequest asks for 1 kB: a SimpleRequest whose response_size, field 2, is 1024,
// in its frame.
const unaryRequest = "\x00\x00\x00\x00\x03\x10\x80\x08"

// calls measures unary calls of gRPC over TLS, beside grpc-go's own server.
func (l *lab) calls(r *results) {
	l.tb.Helper()
	const url = "https://" + testnet.WWW + ":50052/grpc.testing.TestService/UnaryCall"
	sc := scenario{name: "gRPC unary, 16 connections × 10 streams", parse: parseH2load,
		command: "h2load -t1 -c16 -m10 -D%d -d unary -H 'content-type: application/grpc' -H 'te: trailers' " + url}
	if err := os.WriteFile(filepath.Join(l.dir, "unary"), []byte(unaryRequest), 0o644); err != nil {
		l.tb.Fatal(err)
	}
	server := l.grpcServer()
	once := l.open("record", "calls")
	once.run("h2load -n1 -c1 -d unary -H 'content-type: application/grpc' -H 'te: trailers' " + url)
	once.close()
	sessions := [variants]*session{l.open(), l.open("record", "load-calls"), l.open("replay", "calls")}
	servers := [variants]int{server, sessions[record].pid, sessions[replay].pid}
	r.add(sc.name, l.alternate(sc, sessions, servers))
	for _, s := range sessions {
		s.close()
	}
}

// grpcServer starts the server and returns its process id.
func (l *lab) grpcServer() int {
	l.tb.Helper()
	program, cert, key := filepath.Join(l.dir, "grpcpeers"), filepath.Join(l.dir, "cert.pem"), filepath.Join(l.dir, "key.pem")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = grpcPeers
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		l.tb.Fatalf("build the server of gRPC: %v\n%s", err, out)
	}
	c, err := l.net.CA.Issue(testnet.Leaf{Names: []string{testnet.WWW}})
	if err != nil {
		l.tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		l.tb.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			l.tb.Fatal(err)
		}
	}
	cmd := l.net.Command(program, "serve", cert, key)
	for _, port := range []uint16{50051, 50052, 50053} {
		ln, err := l.net.Listen("tcp", netip.AddrPortFrom(testnet.Lookup(testnet.WWW).V4, port).String())
		if err != nil {
			l.tb.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			l.tb.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if err := cmd.Start(); err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}
