package bench

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

var largest = flag.Int("interactions", 1000000, "how many interactions the largest cassette has")

// BenchmarkCassettes replays cassettes of 1,000 interactions and of very many, as
// JSON and as MessagePack, by `serge-net proxy`, in alternating rounds: from start
// to the first answer, answers a second over 4 connections, CPU and memory.
func BenchmarkCassettes(b *testing.B) {
	dir := b.TempDir()
	serge := filepath.Join(dir, "bin", "serge-net")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", serge, "../cmd/serge-net")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build serge-net: %v\n%s", err, out)
	}
	kinds := []*shelf{
		{name: "json", format: cassette.JSON, n: 1000},
		{name: "small", format: cassette.MessagePack, n: 1000},
		{name: "large", format: cassette.MessagePack, n: *largest},
	}
	for _, k := range kinds {
		k.record(b, dir)
	}
	for range *rounds {
		for _, k := range kinds {
			k.measure(b, serge, dir)
		}
	}
	for _, k := range kinds {
		b.Logf("%s, %d interactions: first answer after %.1f ms, %.0f answers a second, %.1f us of CPU each, RssAnon %.1f MiB",
			k.format, k.n, median(k.first).Seconds()*1e3, median(k.rate), median(k.cpu).Seconds()*1e6, mib(median(k.anon)))
	}
	b.ReportMetric(median(kinds[2].rate)/median(kinds[1].rate), "large/small")
	b.ReportMetric(median(kinds[1].rate)/median(kinds[0].rate), "msgpack/json")
}

// A shelf is a cassette of n interactions, and what was measured of it.
type shelf struct {
	name   string
	format cassette.Format
	n      int

	first, cpu []time.Duration
	rate       []float64
	anon       []int64
}

// record makes the cassette, 50,000 interactions at a time.
func (k *shelf) record(b *testing.B, dir string) {
	b.Helper()
	store, err := cassette.Open(filepath.Join(dir, "cassettes"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for told := 0; told < k.n; {
		r, err := store.Record(k.name, cassette.RecordOptions{Append: true, Format: k.format})
		if err != nil {
			b.Fatal(err)
		}
		w, err := r.Open(exchange.Origin{Addr: netip.MustParseAddrPort("192.0.2.1:80"), Name: "api.example.com"})
		if err != nil {
			b.Fatal(err)
		}
		for batch := min(k.n-told, 50000); batch > 0; batch-- {
			tell(b, w, told)
			told++
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Close(false); err != nil {
			b.Fatal(err)
		}
	}
}

// tell is the nth exchange of 1.3 KB.
func tell(b *testing.B, w exchange.Watch, n int) {
	field := func(name, value string) exchange.Field { return exchange.Field{Name: name, Value: value} }
	body := answered(n)
	req := &exchange.Head{Method: "GET", Scheme: "http", Authority: "api.example.com", Target: fmt.Sprintf("/v1/items/%d?expand=all", n), Version: "1.1",
		Fields: []exchange.Field{field("Host", "api.example.com"), field("Accept", "*/*"), field("User-Agent", "bench")}}
	res := &exchange.Head{Status: 200, Reason: "OK", Version: "1.1", Fields: []exchange.Field{field("Content-Type", "application/json"),
		field("Content-Length", fmt.Sprint(len(body))), field("Date", "Mon, 02 Nov 2026 10:00:00 GMT"), field("Server", "nginx"), field("Cache-Control", "max-age=0, private, must-revalidate")}}
	at := time.Duration(n) * time.Millisecond
	for _, e := range []exchange.Event{
		{From: exchange.Client, Kind: exchange.KindHead, Head: req},
		{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}},
		{From: exchange.Server, Kind: exchange.KindHead, Head: res},
		{From: exchange.Server, Kind: exchange.KindData, Data: []byte(body)},
		{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}},
	} {
		e.Stream, e.At = uint64(n+1), at
		if err := w.Event(e); err != nil {
			b.Fatal(err)
		}
	}
}

// answered is the body of the nth answer.
func answered(n int) string {
	return fmt.Sprintf(`{"id":%d,"text":"%s"}`, n, strings.Repeat(fmt.Sprintf("%08d ", n), 80))
}

// measure is one round: a proxy is started, asked as fast as it answers, and
// stopped.
func (k *shelf) measure(b *testing.B, serge, dir string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(serge, "proxy", "--listen", addr, "--mode", "replay", "--cassette", k.name, "-q")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
	}()
	c, err := net.Dial("tcp", addr)
	for deadline := start.Add(time.Minute); errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(deadline); {
		c, err = net.Dial("tcp", addr)
	}
	if err != nil {
		b.Fatal(err)
	}
	fetch(b, c, bufio.NewReader(c), k.n/2)
	k.first = append(k.first, time.Since(start))
	c.Close()
	before := cpu(b, cmd.Process.Pid)
	begin, end := time.Now(), time.Now().Add(time.Duration(*seconds)*time.Second)
	counts := [4]int{}
	var wg sync.WaitGroup
	for conn := range counts {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for n := conn * 7919; time.Now().Before(end) && !b.Failed(); n += 104729 {
				fetch(b, c, r, n%k.n)
				counts[conn]++
			}
		})
	}
	wg.Wait()
	total := counts[0] + counts[1] + counts[2] + counts[3]
	k.rate = append(k.rate, float64(total)/time.Since(begin).Seconds())
	k.cpu = append(k.cpu, (cpu(b, cmd.Process.Pid)-before)/time.Duration(max(total, 1)))
	k.anon = append(k.anon, memory(b, cmd.Process.Pid, "RssAnon"))
}

// fetch asks for the nth answer by c, and checks it.
func fetch(b *testing.B, c net.Conn, r *bufio.Reader, n int) {
	if _, err := fmt.Fprintf(c, "GET http://api.example.com/v1/items/%d?expand=all HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n\r\n", n); err != nil {
		b.Error(err)
		return
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		b.Error(err)
		return
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != answered(n) {
		b.Errorf("answer %d is %.60q, %v", n, got, err)
	}
}
