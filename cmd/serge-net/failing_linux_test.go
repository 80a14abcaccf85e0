package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

var failingTable = flag.String("write-failures", "", "file to write the table of TestFailing to, with every client and lane in it")

// Why what a client sees through us is not what it sees without.
const (
	whyAccepted  = "The connection to us was made before the origin's was tried: what would fail connect(2) is seen at the first read."
	whyHandshake = "We end TLS, and it is we who do not trust the origin or do not understand it: the client is told by the alert internal_error."
)

// A failing is an origin that fails, and how.
type failing struct {
	name, what string
	url        string
	why        string         // what it may look different for through us; "": it may not
	port       uint16         // of V4Only, where origin serves; 0: testnet has the origin
	origin     func(net.Conn) // closes what it is given
	tls        bool           // and speaks TLS
	slow       bool           // it takes over ten seconds: not in make test
}

// at is the URL of what serves on a port of V4Only.
func at(scheme string, port uint16) string {
	return fmt.Sprintf("%s://%s:%d/", scheme, testnet.V4Only, port)
}

// asked reads the start of what a client says.
func asked(c net.Conn) { c.Read(make([]byte, 64<<10)) }

// cut closes c by RST.
func cut(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// answers is an origin that says s when it was asked, and ends by end.
func answers(s string, end func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		asked(c)
		io.WriteString(c, s)
		end(c)
	}
}

// fin closes c.
func fin(c net.Conn) { c.Close() }

// bareFin ends what c's client reads, below TLS.
func bareFin(c net.Conn) {
	below := c.(*tls.Conn).NetConn()
	below.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, below)
	below.Close()
}

// keepsSilent says nothing until the client leaves.
func keepsSilent(c net.Conn) {
	io.Copy(io.Discard, c)
	c.Close()
}

// failings are all of them, in the table's order.
func failings() []failing {
	const half = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789"
	const chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
	const toEnd = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789"
	const handshakeFailure = "\x15\x03\x03\x00\x02\x02\x28"
	url := func(scheme, host string) string { return scheme + "://" + host + "/" }
	return []failing{
		{name: "nxdomain", what: "DNS: NXDOMAIN", url: url("http", testnet.Missing)},
		{name: "nodata", what: "DNS: no address", url: url("http", "text."+testnet.Domain)},
		{name: "servfail", what: "DNS: SERVFAIL", url: url("http", testnet.ServFail)},
		{name: "unheard", what: "DNS: no answer", url: url("http", testnet.Unheard), slow: true},
		{name: "refused", what: "connection refused", url: url("http", testnet.Refused), why: whyAccepted},
		{name: "refused-tls", what: "connection refused, https", url: url("https", testnet.Refused), why: whyAccepted},
		{name: "unroutable", what: "no route", url: url("http", testnet.Unroutable), why: whyAccepted},
		{name: "unroutable-tls", what: "no route, https", url: url("https", testnet.Unroutable), why: whyAccepted},
		{name: "connect-timeout", what: "no answer to connect", url: url("http", testnet.Silent), why: whyAccepted},
		{name: "connect-timeout-tls", what: "no answer to connect, https", url: url("https", testnet.Silent), why: whyAccepted},
		{name: "alert", what: "TLS: the origin's alert", url: at("https", 9001), port: 9001, origin: answers(handshakeFailure, fin)},
		{name: "tls-fin", what: "TLS: FIN in the handshake", url: at("https", 9002), port: 9002, origin: answers("", fin)},
		{name: "tls-rst", what: "TLS: RST in the handshake", url: at("https", 9003), port: 9003, origin: answers("", cut)},
		{name: "tls-silent", what: "TLS: no answer to the hello", url: at("https", 9004), port: 9004, origin: keepsSilent},
		{name: "tls-garbage", what: "TLS: no TLS", url: at("https", 9005), port: 9005, origin: answers("220 hello\r\n", fin), why: whyHandshake},
		{name: "selfsigned", what: "certificate: self-signed", url: url("https", testnet.SelfSigned), why: whyHandshake},
		{name: "expired", what: "certificate: expired", url: url("https", testnet.Expired), why: whyHandshake},
		{name: "wrongname", what: "certificate: another name", url: url("https", testnet.WrongName), why: whyHandshake},
		{name: "fin", what: "FIN for an answer", url: at("http", 9011), port: 9011, origin: answers("", fin)},
		{name: "rst", what: "RST for an answer", url: at("http", 9012), port: 9012, origin: answers("", cut)},
		{name: "silent", what: "no answer (read timeout)", url: at("http", 9013), port: 9013, origin: keepsSilent},
		{name: "half-head", what: "head cut by FIN", url: at("http", 9014), port: 9014, origin: answers("HTTP/1.1 200 OK\r\nContent-", fin)},
		{name: "half-body", what: "body shorter than Content-Length", url: at("http", 9015), port: 9015, origin: answers(half, fin)},
		{name: "half-chunks", what: "chunks without the last", url: at("http", 9016), port: 9016, origin: answers(chunk, fin)},
		{name: "rst-body", what: "RST in the body", url: at("http", 9017), port: 9017, origin: answers(half, cut)},
		{name: "silent-body", what: "no more of the body (read timeout)", url: at("http", 9018), port: 9018, origin: func(c net.Conn) {
			asked(c)
			io.WriteString(c, half)
			keepsSilent(c)
		}},
		{name: "garbage", what: "no HTTP", url: at("http", 9019), port: 9019, origin: answers("220 hello\r\n\r\n", fin)},
		{name: "gzip-cut", what: "half of a gzip stream in a whole message", url: at("http", 9021), port: 9021, origin: answers(
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4a\x4c", fin)},
		{name: "no-trailers", what: "trailers that do not come", url: at("http", 9022), port: 9022, origin: answers(
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", fin)},
		{name: "bare-end", what: "TLS: no close_notify behind a body to the end", url: at("https", 9023), port: 9023, tls: true, origin: answers(toEnd, bareFin)},
		{name: "proper-end", what: "TLS: close_notify behind a body to the end", url: at("https", 9024), port: 9024, tls: true, origin: answers(toEnd, fin)},
		{name: "bad-chunk", what: "a chunk without a size", url: at("http", 9020), port: 9020, origin: answers(chunk+"xyz\r\n\r\n", fin)},
	}
}

// fail has the origins of fs fail in the internet of r, until the test ends.
func (r *rig) fail(fs []failing) {
	r.t.Helper()
	cert, err := r.net.CA.Issue(testnet.Leaf{Names: []string{testnet.V4Only}})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range fs {
		switch {
		case f.port == 0:
		case f.tls:
			r.serveOn(f.port, func(c net.Conn) { f.origin(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})) })
		default:
			r.serveOn(f.port, f.origin)
		}
	}
}

// A failingClient gets what its arguments name, NAME=URL, and prints what became of it.
type failingClient struct {
	name string
	argv []string
}

// failingClients are those of the table; without all, those that start at once.
func failingClients(t *testing.T, all bool) []failingClient {
	t.Helper()
	dir, err := filepath.Abs("testdata/clients/failing")
	if err != nil {
		t.Fatal(err)
	}
	quick := []failingClient{
		{"curl", []string{"sh", filepath.Join(dir, "curl.sh")}},
		{"Python urllib", []string{"python3", filepath.Join(dir, "fail.py")}},
	}
	if !all {
		return quick
	}
	to := t.TempDir()
	for _, argv := range [][]string{
		{"go", "build", "-o", filepath.Join(to, "gofail"), "./testdata/clients/failing/gofail"},
		{"javac", "-d", to, filepath.Join(dir, "Failing.java")},
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	return append(quick,
		failingClient{"Go net/http", []string{filepath.Join(to, "gofail")}},
		failingClient{"Node fetch", []string{"node", filepath.Join(dir, "fail.mjs")}},
		failingClient{"Java HttpClient", []string{"java", "-cp", to, "Failing"}})
}

// What differs from run to run in what clients say.
var (
	varyingAddress = regexp.MustCompile(`\[[0-9a-f:]*:[0-9a-f:]*\]|\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b|\b2001:db8:[0-9a-f:]*[0-9a-f]|\bfd5e:[0-9a-f:]*[0-9a-f]`)
	varyingPort    = regexp.MustCompile(`ADDR:[0-9]+`)
	varyingTime    = regexp.MustCompile(`\b[0-9]+ (ms|milliseconds)\b`)
	varyingPlace   = regexp.MustCompile(` ?\(?_ssl\.c:[0-9]+\)?|[0-9A-F]{8,}:error:[0-9A-F]+:|:\.\./deps[^:]*:[0-9]+|OpenSSL/[0-9.]+: error:[0-9A-F]+:`)
)

// outcomes are what a client printed, by the name of what failed.
func outcomes(stdout string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(stdout) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), "\t")
		what = varyingPort.ReplaceAllString(varyingAddress.ReplaceAllString(what, "ADDR"), "ADDR")
		what = varyingTime.ReplaceAllString(varyingPlace.ReplaceAllString(what, ""), "N $1")
		out[name] = what
	}
	return out
}

// TestFailing has real clients meet origins that fail, without us, recorded and
// replayed, and holds the replay to show them what the
// recording did; and that to what they see without us, but for what is explained.
func TestFailing(t *testing.T) {
	all := os.Getenv("SERGE_TEST_ALL") != "" || *failingTable != ""
	lanes := []string{"ebpf"}
	if all {
		lanes = []string{"ebpf", "netns", "iptables"}
	}
	r := newRig(t)
	fs := slices.DeleteFunc(failings(), func(f failing) bool { return f.slow && !all })
	r.fail(fs)
	var args []string
	for _, f := range fs {
		args = append(args, f.name+"="+f.url)
	}
	ca := []string{"SSL_CERT_FILE=" + r.net.CAFile, "CURL_CA_BUNDLE=" + r.net.CAFile, "NODE_EXTRA_CA_CERTS=" + r.net.CAFile}
	table := failingRows{}
	for _, c := range failingClients(t, all) {
		argv := slices.Concat(c.argv, args)
		direct := outcomes(r.runWith(ca, "", argv...).stdout)
		seen := map[string]map[string]string{}
		for _, lane := range lanes {
			t.Run(c.name+", "+lane, func(t *testing.T) { seen[lane] = r.in(t, lane).failsAlike(fs, direct, argv) })
		}
		table.add(c.name, fs, direct, lanes, seen)
	}
	if *failingTable != "" {
		if err := os.WriteFile(*failingTable, []byte(table.markdown(lanes)), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// failsAlike records and replays argv, and returns what it saw by the name of
// what failed. The network stays: what addresses a client's host has changes what
// getaddrinfo tells it. No question goes to it.
func (r *rig) failsAlike(fs []failing, direct map[string]string, argv []string) map[string]string {
	r.t.Helper()
	recorded := outcomes(r.serge(append([]string{"record", "failing", "--"}, argv...)...).stdout)
	asked := r.net.Queries()
	o := r.serge(append([]string{"replay", "failing", "--"}, argv...)...)
	if d := cmp.Diff(asked, r.net.Queries()); d != "" {
		r.t.Errorf("the replay asked the internet's DNS server (-before +after):\n%s", d)
	}
	replayed := outcomes(o.stdout)
	for _, f := range fs {
		switch was, is := recorded[f.name], replayed[f.name]; {
		case was == "":
			r.t.Errorf("%s: recording, the client says nothing", f.name)
		case was != is:
			r.t.Errorf("%s: recorded %q, replayed %q", f.name, was, is)
		case was != direct[f.name] && f.why == "":
			r.t.Errorf("%s: direct %q, through us %q", f.name, direct[f.name], was)
		}
	}
	if !strings.Contains(o.stderr, " 0 missed, ") { // Java tries again as time allows: not all need be used
		r.t.Errorf("the replay says\n%s", o.stderr)
	}
	return recorded
}

// failingRows are the rows of the table, by what failed.
type failingRows map[string][]string

// add adds a client's rows.
func (rows failingRows) add(client string, fs []failing, direct map[string]string, lanes []string, seen map[string]map[string]string) {
	for _, f := range fs {
		cells := []string{f.what, client, direct[f.name]}
		for _, lane := range lanes {
			cell := seen[lane][f.name]
			switch {
			case cell == direct[f.name]:
				cell = "the same"
			case f.why == whyAccepted:
				cell += " ¹"
			case f.why == whyHandshake:
				cell += " ²"
			}
			cells = append(cells, cell)
		}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		rows[f.name] = append(rows[f.name], line(cells))
	}
}

// markdown is the table.
func (rows failingRows) markdown(lanes []string) string {
	var b strings.Builder
	b.WriteString(failingHead)
	b.WriteString(line(slices.Concat([]string{"what fails", "client", "without us"}, lanes)))
	b.WriteString(line(slices.Repeat([]string{"---"}, 3+len(lanes))))
	for _, f := range failings() {
		for _, row := range rows[f.name] {
			b.WriteString(row)
		}
	}
	fmt.Fprintf(&b, "\n¹ %s\n\n² %s\n", whyAccepted, whyHandshake)
	return b.String()
}

const failingHead = `# Errors

<!-- Written by make errors. Do not edit. -->

What fails while it is recorded fails in the replay, as the client saw it through us: the same errno, the same message, after
the same number of tries. It is kept in the cassette as an interaction with ` + "`error`" + ` in place of a response:

    {"id": "…", "kind": "http", "request": {"method": "GET", "url": "http://down.example.com/", …},
     "error": {"kind": "connection_refused", "phase": "connect", "errno": "ECONNREFUSED", "cause": "…"}}

| kind | what it was | what the client sees |
|---|---|---|
| ` + "`connection_refused`, `unreachable`, `connect_timeout`, `dns`" + ` | no connection to the origin could be made | RST, once it has said something; through a proxy setting, the proxy's 502 or SOCKS reply |
| ` + "`tls`" + ` | the handshake failed; ` + "`alert`" + ` has the number | that alert |
| ` + "`reset`" + ` | the origin sent RST | RST |
| ` + "`truncated`" + ` | the origin ended before its answer did, or ended TLS without close_notify | what came of it, then FIN, in TLS or below it as it was |
| ` + "`protocol`" + ` | the origin said what is no HTTP | the same bytes, then FIN |
| ` + "`read_timeout`" + ` | nothing came until the client gave up | silence until it gives up again |

- A request in clear is kept with its error. Where there was none yet (TLS, anything but HTTP/1), the connection is kept, as
  ` + "`CONNECT tcp://HOST:PORT`" + `. It fails again when everything that was recorded with that host and port before it was served;
  requests take their turn as ever. So a client that retries fails as often as it did, and then succeeds. Where connections to
  one host were made at the same time, which of them fails is not told apart.
- An answer that was cut has ` + "`end`" + `: ` + "`truncated`, `reset`, `protocol`, or `read_timeout`" + ` where the client left before it was whole.
- A timeout is the client's own, and takes as long in the replay as its timer does. A client that waits longer than it did gets
  RST after twice that time and a second. Where it was we who gave up (after 60 s), the replay sends RST at once.
- DNS answers other than addresses are kept with their code: NXDOMAIN, SERVFAIL, REFUSED and so on, ` + "`TIMEOUT`" + ` where no
  resolver answered; no answer is given to that in the replay either.
- No lane makes connect(2) fail. It would have to know when the program connects whether the origin will answer, and a replay
  that did more than the recording could would show the program something else than it was recorded with.

The table is what a test saw, in each lane: recorded and replayed, which were equal in every cell.
Addresses, times and places in OpenSSL's sources are left out.

`
