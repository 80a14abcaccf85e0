package mitm

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// TestRecordDeserted has origins that end well once their client has left: that is no
// end which the client saw. One that is still reading does see it.
func TestRecordDeserted(t *testing.T) {
	const get = "GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name  string
		words string
		leave func(*net.TCPConn) // after the first event, nil: it stays
		want  exchange.How
	}{
		{"it stays", get, nil, exchange.Complete},
		{"it closes", get, func(c *net.TCPConn) { c.Close() }, exchange.Left},
		{"it resets", get, func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, exchange.Left},
		{"it closes a stream without chunks", strings.Replace(get, "1.1", "1.0", 1), func(c *net.TCPConn) { c.Close() }, exchange.Left},
		{"it ends its half before the answer begins", get, nil, exchange.Complete},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := make(chan struct{})
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-begin
				w.Header().Set("Trailer", "X-Sum")
				io.WriteString(w, "data: 1\n\n")
				http.NewResponseController(w).Flush()
				if tt.leave != nil {
					<-r.Context().Done()
				}
				io.WriteString(w, "data: 2\n\n")
				w.Header().Set("X-Sum", "18")
			}))
			defer origin.Close()
			w := newEnder()
			addr := front(t, &Record{Upstream: new(Upstream), Watcher: w}, origin.Listener.Addr().String(), "")
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, tt.words)
			if strings.Contains(tt.name, "half") {
				c.(*net.TCPConn).CloseWrite()
			}
			close(begin)
			lines := bufio.NewReader(c)
			for line := ""; !strings.HasPrefix(line, "data: 1"); {
				if line, err = lines.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if tt.leave != nil {
				tt.leave(c.(*net.TCPConn))
			}
			io.Copy(io.Discard, lines)
			c.Close()
			waitFor(t, func() bool { return len(w.told()) > 0 }, "no end of the answer is told")
			if d := cmp.Diff([]exchange.End{{How: tt.want}}, w.told()); d != "" {
				t.Errorf("ends (-want +got):\n%s", d)
			}
		})
	}
}
