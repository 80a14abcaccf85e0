package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a connection that waits may cost, in bytes of heap and stacks: its
// buffers, and what the test holds of it on both sides.
const (
	idleMost   = 64 << 10
	unreadMost = 512 << 10
)

// many is all where all tests are run, and few else.
func many(all, few int) int {
	if os.Getenv("SERGE_TEST_ALL") != "" {
		return all
	}
	return few
}

// large is an origin that answers /large by size bytes and anything else by "ok".
// What is posted to it, it does not read.
func (s *stage) large(size int) (addr string) {
	zeros := make([]byte, 64<<10)
	return s.listen(func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			switch {
			case err != nil:
				return
			case req.Method == "POST":
				<-s.t.Context().Done()
				return
			case req.URL.Path != "/large":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				continue
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			for n := size; n > 0 && err == nil; n -= len(zeros) {
				_, err = c.Write(zeros)
			}
		}
	})
}

// A crowd are clients that come together, each doing begin; they cost no more
// than most bytes each while they are there.
type crowd struct {
	name  string
	n     int
	begin func(c net.Conn)
	most  int64
}

// asks asks for path and reads the first line of the answer.
func asks(path string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: well\r\n\r\n")
		bufio.NewReaderSize(c, 16).ReadString('\n')
	}
}

// crowds are those that replay and record withstand.
func crowds() []crowd {
	return []crowd{
		{"clients that do not read", many(100, 20), asks("/large"), unreadMost},
		{"clients that say nothing", many(10_000, 300), func(net.Conn) {}, idleMost},
		{"clients that have their answer", many(10_000, 300), asks("/well"), idleMost},
		{"clients in the middle of a head", many(10_000, 300), func(c net.Conn) { io.WriteString(c, "GET /well HTTP/1.1\r\nHost:") }, idleMost},
	}
}

// withstand has c come to addr, where another client is served meanwhile.
func (s *stage) withstand(t *testing.T, addr string, c crowd) {
	t.Helper()
	before := held()
	var conns []net.Conn
	var beginning sync.WaitGroup
	for range c.n {
		conn := s.dial(addr)
		conn.SetDeadline(time.Now().Add(time.Minute))
		conns = append(conns, conn)
		beginning.Go(func() { c.begin(conn) })
	}
	beginning.Wait()
	s.served(t, addr)
	cost := held() - before
	t.Logf("%d cost %d KiB each", c.n, cost/int64(c.n)>>10)
	if cost > int64(c.n)*c.most {
		t.Errorf("%d %s cost %d KiB each; want %d at most", c.n, c.name, cost/int64(c.n)>>10, c.most>>10)
	}
	for _, conn := range conns {
		conn.Close()
	}
}

// descriptors lets this process open as many files as it may for as long as the
// test runs, and returns how many that are.
func descriptors(t *testing.T) int {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: was.Max, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
	return int(min(was.Max, 1<<20)) - 200
}

// TestCrowds holds what many cost that wait, recorded and replayed.
func TestCrowds(t *testing.T) {
	files := descriptors(t) // four for a client that is recorded, both ends of both connections; two for one that is not
	s := newStage(t)
	origin := s.large(many(1<<30, 16<<20))
	once, end := s.record("large")
	addr := s.divert(once, origin)
	for _, path := range []string{"/well", "/large"} {
		c := s.dial(addr)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: well\r\nConnection: close\r\n\r\n", path)
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	}
	end()
	s.empty()
	replay := s.divert(s.replay("large"), origin)
	way, end := s.record("crowds")
	record := s.divert(way, origin)
	for _, c := range crowds() {
		all := c.n
		c.n = min(all, files/4)
		t.Run("recorded "+c.name, func(t *testing.T) { s.withstand(t, record, c); s.empty() })
		c.n = min(all, files/2)
		t.Run("replayed "+c.name, func(t *testing.T) { s.withstand(t, replay, c); s.empty() })
	}
	unread := crowd{"uploads that the origin does not read", many(100, 20), func(c net.Conn) {
		c.SetDeadline(time.Now().Add(time.Second))
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: well\r\nContent-Length: 1073741824\r\n\r\n")
		for piece := make([]byte, 64<<10); ; {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}, unreadMost}
	t.Run("recorded "+unread.name, func(t *testing.T) { s.withstand(t, record, unread) })
	end()
}

// TestSlow has a client and an origin say a byte at a time: both are heard out,
// and others are served meanwhile.
func TestSlow(t *testing.T) {
	const request, answer = "GET /well HTTP/1.1\r\nHost: well\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	gap := time.Duration(many(1000, 10)) * time.Millisecond
	dribble := func(c net.Conn, say string) {
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		tick := time.NewTicker(gap)
		defer tick.Stop()
		for b := range strings.SplitSeq(say, "") {
			io.WriteString(c, b)
			<-tick.C
		}
	}
	s := newStage(t)
	way, end := s.record("slow")
	well := s.divert(way, s.good)
	origin := s.listen(func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			dribble(c, answer)
		}
	})
	talk := func(addr string) {
		c := s.dial(addr)
		defer c.Close()
		dribble(c, request)
		s.served(t, well)
		got := make([]byte, len(answer))
		if _, err := io.ReadFull(c, got); string(got) != answer || err != nil {
			t.Errorf("the answer is %q, %v", got, err)
		}
	}
	talk(s.divert(way, origin))
	end()
	well = s.divert(s.replay("slow"), s.good)
	talk(well)
}
