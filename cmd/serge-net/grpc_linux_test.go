package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// grpcPeers are the server of gRPC's interoperability tests on the internet of a
// rig, and the program that is its client too: see testdata/grpc.
type grpcPeers struct {
	program       string
	plain, secure string // addresses: clear text, TLS,
	connect       string // and of a server that speaks Connect and gRPC-Web too
	server        *exec.Cmd
}

// grpc starts the server.
func (r *rig) grpc() *grpcPeers {
	r.t.Helper()
	dir, err := os.MkdirTemp("", "serge-net-grpc-*")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	p := &grpcPeers{program: filepath.Join(dir, "grpcpeers")}
	build := exec.CommandContext(r.t.Context(), "go", "build", "-o", p.program, ".")
	build.Dir = filepath.Join("testdata", "grpc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("build the peers of gRPC: %v\n%s", err, out)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	r.issue(cert, key)
	p.server = r.net.Command(p.program, "serve", cert, key)
	p.server.Stderr = os.Stderr
	for _, port := range []uint16{50051, 50052, 50053} {
		l, err := r.net.Listen("tcp", netip.AddrPortFrom(testnet.Lookup(testnet.WWW).V4, port).String())
		if err != nil {
			r.t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close()
		p.server.ExtraFiles = append(p.server.ExtraFiles, f)
	}
	p.plain, p.secure, p.connect = testnet.WWW+":50051", testnet.WWW+":50052", testnet.WWW+":50053"
	if err := p.server.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.stop)
	return p
}

// stop ends the server, once.
func (p *grpcPeers) stop() {
	if p.server.ProcessState == nil {
		p.server.Process.Kill()
		p.server.Wait()
	}
}

// issue writes a certificate of the web origin and its key.
func (r *rig) issue(certFile, keyFile string) {
	r.t.Helper()
	c, err := r.net.CA.Issue(testnet.Leaf{Names: []string{testnet.WWW}})
	if err != nil {
		r.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		r.t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

var grpcTable = flag.String("write-grpc", "", "file to write TestGRPCInterop's table to; then each case has a cassette of its own")

// TestGRPCInterop runs the interoperability cases of gRPC against their server:
// directly, recorded, and with the server gone, replayed. They are one program, one
// after the other, unless a table of them is asked for.
func TestGRPCInterop(t *testing.T) {
	r := newRig(t)
	p := r.grpc()
	names := append([]string{"all"}, grpcChance...)
	if *grpcTable != "" {
		names = strings.Fields(r.run(p.program, "list").stdout)
	}
	lanes := []grpcLane{{"clear text", []string{p.plain}}, {"TLS", []string{p.secure, r.net.CAFile}}}
	results := map[string][]string{}
	told := func(c, how string, o outcome) {
		verdict := strings.TrimSpace(o.stdout + o.stderr)
		chance := slices.ContainsFunc(grpcChance, func(name string) bool { return strings.HasSuffix(c, name) })
		if (o.code == 0 || chance) && strings.HasSuffix(o.stdout, " passed\n") {
			verdict = "passed"
		} else {
			t.Errorf("%s, %s: %s", c, how, verdict)
		}
		results[c] = append(results[c], verdict)
	}
	for _, lane := range lanes {
		for _, name := range names {
			argv := append([]string{p.program, "run", name}, lane.to...)
			told(lane.name+", "+name, "direct", r.run(argv...))
			told(lane.name+", "+name, "recorded", r.serge(append([]string{"record", lane.cassette(name), "--"}, argv...)...))
		}
	}
	p.stop()
	for _, lane := range lanes {
		for _, name := range names {
			argv := append([]string{p.program, "run", name}, lane.to...)
			told(lane.name+", "+name, "replayed", r.serge(append([]string{"replay", lane.cassette(name), "--"}, argv...)...))
		}
	}
	if *grpcTable != "" {
		writeGRPCTable(t, lanes, names, results)
	}
}

// A grpcLane is a way to reach the server: its address, and its CA.
type grpcLane struct {
	name string
	to   []string
}

// cassette is the name of that of a case.
func (l grpcLane) cassette(name string) string {
	return strings.ReplaceAll(l.name, " ", "-") + "/" + name
}

// writeGRPCTable writes what came of the cases.
func writeGRPCTable(t *testing.T, lanes []grpcLane, names []string, results map[string][]string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# gRPC interoperability\n\nThe cases of [gRPC's interoperability tests](https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md) that need no account,\n"+
		"no balancer and no second server, as the package `google.golang.org/grpc/interop` has them, and some of ours (those in italics), against that\n"+
		"package's server: directly, recorded, and replayed when the server is gone. Written by `make conformance` on %s with %s.\n"+
		"`make test` runs them too, in one program, and fails where one does not pass.\n\n", time.Now().UTC().Format(time.DateOnly), runtime.Version())
	fmt.Fprintf(&b, "| case |")
	for _, lane := range lanes {
		fmt.Fprintf(&b, " %[1]s: direct | recorded | replayed |", lane.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", 3*len(lanes)) + "\n")
	for _, name := range names {
		shown := name
		if slices.Contains(grpcOurs, name) {
			shown = "*" + name + "*"
		}
		fmt.Fprintf(&b, "| %s |", shown)
		for _, lane := range lanes {
			for _, verdict := range results[lane.name+", "+name] {
				fmt.Fprintf(&b, " %s |", strings.ReplaceAll(verdict, "\n", " "))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(grpcArgued)
	if err := os.WriteFile(*grpcTable, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// grpcOurs are the cases that are not of gRPC's list by that name.
var grpcOurs = []string{"compressed_ping_pong", "deadline_unary", "early_error", "half_duplex", "large_message", "many_at_once", "parallel_pingpong"}

// grpcChance are the cases whose client gives up at once: it is chance whether its
// request leaves at all, and so whether there is one to record, or to serve.
var grpcChance = []string{"cancel_after_begin", "timeout_on_sleeping_server"}

// grpcArgued is what the table does not say by itself.
const grpcArgued = `
What is not there, and why:

- client_compressed_unary and client_compressed_streaming begin, in the list, with a probe that the server of this package does not know
  (expect_compressed); here they are the plain cases with gzip both ways. server_compressed_unary is one call of the same.
- compute_engine_creds, service_account_creds, jwt_token_creds, oauth2_auth_token, per_rpc_creds, google_default_credentials and
  compute_engine_channel_credentials ask Google for tokens.
- pick_first_unary, rpc_soak, channel_soak, orca_per_rpc, orca_oob and concurrent_large_unary need several servers, run for minutes, or measure the server's load.
- cancel_after_begin and timeout_on_sleeping_server give up at once: it is chance whether their request leaves their program, so how many
  were recorded and served is not compared, only what the client makes of it.
- cacheable_unary needs a caching proxy between the peers; client_streaming, server_streaming and ping_pong are those of the list.
`

// TestGRPCPython has Python's grpcio call the same server, and see the same again in
// the replay.
func TestGRPCPython(t *testing.T) {
	r := newRig(t)
	p := r.grpc()
	said := r.holds(nil, "/usr/bin/python3", r.source("grpc_client.py"), p.plain)
	for _, want := range []string{"unary [", "status NOT_FOUND gone", "deadline DEADLINE_EXCEEDED", "metadata hello b'\\x00\\xff'", "in turn [11, 12, 13]", "cancelled behind 5"} {
		if !strings.Contains(said, want) {
			t.Errorf("it prints no %q:\n%s", want, said)
		}
	}
	r.missesCall("/usr/bin/python3", "-c", grpcStranger, p.plain)
}

// missesCall holds argv, which asks UnaryCall for six bytes where c has five, to be
// told of the miss, as is the user.
func (r *rig) missesCall(argv ...string) {
	r.t.Helper()
	missed := r.serge(append([]string{"replay", "c", "--"}, argv...)...)
	if want := "UNIMPLEMENTED serge-net: miss: POST http://www.test.example:50051/grpc.testing.TestService/UnaryCall"; !strings.Contains(missed.stdout, want) || missed.code != exitMissed {
		r.t.Errorf("a call that is not recorded: exit code %d, %s%s", missed.code, missed.stdout, missed.stderr)
	}
	if want := "body field 0.2: 5 -> 6"; !strings.Contains(missed.stderr, want) {
		r.t.Errorf("the report does not say %q: %s", want, missed.stderr)
	}
}

// TestGRPCNode has grpc-js of npm do the same, in clear text and in TLS: make test-all
// tries it.
func TestGRPCNode(t *testing.T) {
	if os.Getenv("SERGE_TEST_ALL") == "" {
		return
	}
	s := &studio{rig: newRig(t)}
	s.install()
	p := s.grpc()
	file, err := filepath.Abs("testdata/grpc/testing.proto")
	if err != nil {
		t.Fatal(err)
	}
	client := []string{s.node, filepath.Join(s.dir, "node/grpc.mjs"), file}
	want := strings.Join(grpcNodeSays, "\n") + "\n"
	for _, how := range [][]string{{p.secure, "tls"}, {p.plain}} {
		said := s.holds([]string{"NODE_EXTRA_CA_CERTS=" + s.net.CAFile}, append(client, how...)...)
		if d := cmp.Diff(want, said); d != "" {
			t.Errorf("%v (-want +got):\n%s", how, d)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.rig.dir, "cassettes", "c.json"))
	if n := bytes.Count(text, []byte(`"compressed": true`)); err != nil || n != 8 { // one call and three turns, both ways
		t.Errorf("%d messages are compressed, %v:\n%s", n, err, text)
	}
	s.missesCall(append(client, p.plain, "6")...)
}

// grpcNodeSays is what grpc.mjs prints.
var grpcNodeSays = []string{
	"unary 5",
	"compressed 100",
	"server streaming 3,4,5",
	"client streaming 3",
	"in turn 7,8,9",
	"in turn, compressed 7,8,9",
	"status NOT_FOUND gone, 終",
	"unknown method UNIMPLEMENTED unknown method Nope for service grpc.testing.TestService",
	"deadline passed behind 1",
	"metadata hello,00ff",
	"cancelled CANCELLED Cancelled on client",
}

// grpcStranger calls what was not recorded.
const grpcStranger = `
import grpc, sys
try:
    grpc.insecure_channel(sys.argv[1]).unary_unary("/grpc.testing.TestService/UnaryCall")(b"\x10\x06")
except grpc.RpcError as e:
    print(e.code().name, e.details())
`

// TestConnect has Connect's library call in each of its protocols, and see the same
// again in the replay; what is not recorded is an error of each.
func TestConnect(t *testing.T) {
	r := newRig(t)
	p := r.grpc()
	protocols := []string{"connect", "connect+json+gzip", "connect+h2", "connect+json+h2", "grpcweb", "grpcweb+json+gzip", "grpcweb+h2", "grpc+h2+gzip"}
	said := map[string]string{}
	for _, protocol := range protocols {
		said[protocol] = r.record(protocol, p.program, "connect", protocol, p.connect).stdout
		for _, want := range []string{"unary 11 ada", "unary not_found not_found: gone", "stream 3\nstream 4\nstream ends <nil>"} {
			if !strings.Contains(said[protocol], want) {
				t.Errorf("%s: it prints no %q:\n%s", protocol, want, said[protocol])
			}
		}
	}
	p.stop()
	for _, protocol := range protocols {
		o := r.replay(protocol, p.program, "connect", protocol, p.connect)
		if d := cmp.Diff(said[protocol], o.stdout); d != "" {
			t.Errorf("%s replayed (-recorded +replayed):\n%s\n%s", protocol, d, o.stderr)
		}
	}
	for _, protocol := range []string{"connect", "grpcweb"} {
		o := r.serge("replay", protocol, "--", p.program, "miss", protocol, p.connect)
		if n := strings.Count(o.stdout, "unimplemented unimplemented: serge-net: miss: POST http://www.test.example:50053/grpc.testing.TestService/"); n != 2 || o.code != exitMissed {
			t.Errorf("%s, not recorded: exit code %d, %s%s", protocol, o.code, o.stdout, o.stderr)
		}
	}
}
