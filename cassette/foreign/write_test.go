package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// imported is the cassette that file makes.
func imported(t *testing.T, file string) *cassette.Cassette {
	t.Helper()
	rec, err := Read(os.DirFS("testdata/tools"), file, "")
	if err != nil {
		t.Fatal(err)
	}
	return told(t, rec.Start, func(w exchange.Watcher) error { return rec.Tell(w, nil) })
}

// told is the cassette of what tell tells.
func told(t *testing.T, start time.Time, tell func(exchange.Watcher) error) *cassette.Cassette {
	t.Helper()
	store, err := cassette.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r, err := store.Record("it", cassette.RecordOptions{Start: start})
	if err != nil {
		t.Fatal(err)
	}
	if err := tell(r); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(false); err != nil {
		t.Fatal(err)
	}
	c, err := store.Load("it")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTold: order, times and the secrets' absence in what Tell makes.
func TestTold(t *testing.T) {
	c := imported(t, "mitmproxy.flows")
	if got := c.RecordedAt.Format(time.DateOnly); got != "2026-11-23" {
		t.Errorf("RecordedAt = %s; want the day of the recording", got)
	}
	var routes []string
	for n, i := range c.Interactions {
		routes = append(routes, strings.TrimPrefix(i.Request.URL, "http://api.example.com:"))
		if n > 0 && i.Timing.Start <= c.Interactions[n-1].Timing.Start {
			t.Errorf("interaction %d starts at %v, not after the one before it", n, i.Timing.Start)
		}
	}
	want := []string{"8123/", "8123/json?q=1&r=a%20b", "8123/bin", "8123/count", "8123/count", "8123/text", "8123/nope", "8123/items", "1/refused", "8123/cut", "https://api.example.com:8443/h2", "8125/echo"}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if v, _ := exchange.Get(c.Interactions[1].Request.Fields, "authorization"); v != "Bearer {{secret:auth#1}}" {
		t.Errorf("Authorization = %q; want a placeholder", v)
	}
	if f := c.Interactions[8].Failure; f == nil || f.Kind != "connection_refused" {
		t.Errorf("failure = %+v; want connection_refused", f)
	}
}

// TestWrite writes every form of every fixture, and reads back what can be read.
func TestWrite(t *testing.T) {
	for _, file := range []string{"mitmproxy.flows", "vcr.yml", "polly.har"} {
		c := imported(t, file)
		for _, target := range Targets() {
			var out bytes.Buffer
			if _, err := Write(&out, c, target, nil); err != nil {
				t.Errorf("Write(%s, %s) = %v", file, target, err)
			}
			if bytes.Contains(out.Bytes(), []byte("s3cr3t")) {
				t.Errorf("Write(%s, %s) tells a secret", file, target)
			}
			switch target {
			case "har", "wiremock", "vcr", "vcrpy":
				want := len(c.Interactions)
				if target != "har" {
					want -= sockets(c)
				}
				if strings.HasPrefix(target, "vcr") {
					want -= failures(c)
				}
				rec, err := Read(fstest.MapFS{"f": {Data: out.Bytes()}}, "f", "")
				if err != nil || rec.Format != target || len(rec.Exchanges) != want {
					t.Errorf("Read(Write(%s, %s)) = %+v, %v; want %d exchanges", file, target, rec, err, want)
				}
			case "curl":
				cmd := exec.Command("sh", "-n")
				cmd.Stdin = &out
				if msg, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("the script of %s is none: %v: %s", file, err, msg)
				}
			}
		}
	}
}

// TestThereAndBack: what is written as HAR and read again is the same, by
// tools whose recordings have all that HAR lacks.
func TestThereAndBack(t *testing.T) {
	for _, file := range []string{"mitmproxy.flows", "govcr4.yaml", "polly.har", "playwright.har", "nock14.json"} {
		c := imported(t, file)
		var out bytes.Buffer
		if _, err := Write(&out, c, "har", nil); err != nil {
			t.Fatal(err)
		}
		rec, err := Read(fstest.MapFS{"f": {Data: out.Bytes()}}, "f", "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string(nil), noteLines(rec)); diff != "" {
			t.Errorf("notes of %s (-want +got):\n%s", file, diff)
		}
		again := told(t, rec.Start, func(w exchange.Watcher) error { return rec.Tell(w, nil) })
		for _, d := range cassette.Compare(c, again) {
			t.Errorf("%s: %v", file, d)
		}
		if len(again.Interactions) != len(c.Interactions) {
			t.Errorf("%s: %d interactions; want %d", file, len(again.Interactions), len(c.Interactions))
		}
	}
}

// sockets is how many upgraded streams c has.
func sockets(c *cassette.Cassette) int {
	n := 0
	for _, i := range c.Interactions {
		if len(i.Upgraded) > 0 {
			n++
		}
	}
	return n
}

// failures is how many interactions of c have no response.
func failures(c *cassette.Cassette) int {
	n := 0
	for _, i := range c.Interactions {
		if i.Response == nil {
			n++
		}
	}
	return n
}

// TestQuoted: no text leaves its quotes.
func TestQuoted(t *testing.T) {
	for _, s := range []string{"", "plain", "it's", "'; rm -rf /; '", "$(id) `id` \\ \"", "a\nb"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoted(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("sh reads quoted(%q) as %q, %v", s, out, err)
		}
		var back string
		if err := json.Unmarshal([]byte(literal(s)), &back); err != nil || back != s {
			t.Errorf("literal(%q) is read as %q, %v", s, back, err)
		}
	}
}

// TestPcapng puts the segments together again.
func TestPcapng(t *testing.T) {
	c := imported(t, "mitmproxy.flows")
	var out bytes.Buffer
	if _, err := Write(&out, c, "pcapng", nil); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&out, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	syns := 0
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default)
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok {
			t.Fatalf("a packet is no TCP: %v", p)
		}
		if tcp.SYN && !tcp.ACK {
			syns++
		}
		if err := tcp.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
			t.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializePacket(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, p); err != nil {
			t.Fatal(err)
		}
		if again := buf.Bytes()[:len(data)]; !bytes.Equal(again, data) {
			t.Errorf("a packet\n%x\nby gopacket is\n%x", data, again)
		}
		said.Write(tcp.Payload)
	}
	if syns != len(c.Interactions) {
		t.Errorf("%d connections; want %d", syns, len(c.Interactions))
	}
	for _, want := range []string{"GET /json?q=1&r=a%20b HTTP/1.1\r\nHost: api.example.com:8123\r\n", "HTTP/1.1 404 Not Found\r\n", "\r\n\r\ngrüezi\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the capture has no %q", want)
		}
	}
}

// TestWebSocketMessages: frames, masked and in fragments, are HAR's messages.
func TestWebSocketMessages(t *testing.T) {
	start := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	sent := []byte{0x01, 0x83, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3, 0x80, 0x81, 0, 0, 0, 0, 'd', 0x89, 0x80, 0, 0, 0, 0}
	c := told(t, start, func(w exchange.Watcher) error {
		watch, err := w.Open(exchange.Origin{Name: "ws.example.com"})
		if err != nil {
			return err
		}
		req := &exchange.Head{Method: "GET", Scheme: "http", Authority: "ws.example.com", Target: "/feed", Version: "1.1"}
		res := &exchange.Head{Status: 101, Reason: "Switching Protocols", Version: "1.1", Fields: []exchange.Field{{Name: "Upgrade", Value: "websocket"}}}
		for _, e := range []exchange.Event{
			{From: exchange.Client, Kind: exchange.KindHead, Head: req}, {From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
			{From: exchange.Server, Kind: exchange.KindHead, Head: res},
			{From: exchange.Client, Kind: exchange.KindData, Data: sent},
			{From: exchange.Server, Kind: exchange.KindData, Data: []byte{0x82, 2, 0xff, 0}},
			{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
		} {
			e.Stream = 1
			if err := watch.Event(e); err != nil {
				return err
			}
		}
		return watch.Close()
	})
	x := &export{c: c}
	got, control, err := x.webSocket(c.Interactions[0])
	if err != nil {
		t.Fatal(err)
	}
	want := []harMessage{{"send", 1795395600, 1, "abcd"}, {"receive", 1795395600, 2, "/wA="}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]harControl{{1, harMessage{"send", 1795395600, 9, ""}}}, control, cmp.AllowUnexported(harControl{})); diff != "" {
		t.Errorf("control frames (-want +got):\n%s", diff)
	}
}
