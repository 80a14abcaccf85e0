package mitm

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// TestTurn hears where both sides of a connection turn to TLS: "<" is the server, ">" the
// client, and the last words are those behind which, by |, TLS begins.
func TestTurn(t *testing.T) {
	hello := "\x16\x03\x01\x02\x00\x01"
	asks := "\x20\x00\x00\x01\x05\xaa\x0a\x00" + strings.Repeat("\x00", 28)
	greeting := "<\x4a\x00\x00\x00\x0a8.0.36\x00"
	for _, c := range []struct {
		name string
		said []string
	}{
		{"SMTP", []string{"<220 hi\r\n", ">EHLO me\r\n", "<250-a\r\n250 STARTTLS\r\n", ">STARTTLS\r\n", "<220 go ahead\r\n", ">|" + hello}},
		{"SMTP refuses", []string{"<220 hi\r\n", ">starttls\r\n", "<454 not now\r\n", ">" + hello}},
		{"SMTP in pieces", []string{"<220 hi\r\n", ">START", ">TLS\r\n", "<220 go", "< ahead\r\n", ">|" + hello}},
		{"IMAP", []string{"<* OK hi\r\n", ">a.1 STARTTLS\r\n", "<* noted\r\na.1 OK begin\r\n", ">|" + hello}},
		{"IMAP, another tag", []string{"<* OK hi\r\n", ">a.1 STARTTLS\r\n", "<a.2 OK begin\r\n", ">" + hello}},
		{"POP3", []string{"<+OK hi\r\n", ">STLS\r\n", "<+OK begin\r\n", ">|" + hello}},
		{"FTP", []string{"<220 hi\r\n", ">AUTH TLS\r\n", "<234 begin\r\n", ">|" + hello}},
		{"NNTP", []string{"<200 hi\r\n", ">STARTTLS\r\n", "<382 begin\r\n", ">|" + hello}},
		{"ManageSieve", []string{"<OK hi\r\n", ">STARTTLS\r\n", "<OK \"begin\"\r\n", ">|" + hello}},
		{"XMPP", []string{"><stream>", "<<features/>", "><starttls xmlns='x'/>", "<<proceed xmlns='x'/>", ">|" + hello}},
		{"LDAP", []string{">\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", "<\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", ">|" + hello}},
		{"PostgreSQL", []string{">\x00\x00\x00\x08\x04\xd2\x16\x2f", "<S", ">|" + hello}},
		{"PostgreSQL after GSS", []string{">\x00\x00\x00\x08\x04\xd2\x16\x30", "<N", ">\x00\x00\x00\x08\x04\xd2\x16\x2f", "<S", ">|" + hello}},
		{"PostgreSQL refuses", []string{">\x00\x00\x00\x08\x04\xd2\x16\x2f", "<N", ">" + hello}},
		{"MySQL", []string{greeting, ">" + asks, ">|" + hello}},
		{"MySQL at once", []string{greeting, ">" + asks + "|" + hello}},
		{"MySQL in pieces", []string{greeting, ">" + asks[:10], ">" + asks[10:] + "|" + hello}},
		{"MySQL in the clear", []string{greeting, ">" + strings.Replace(asks, "\xaa", "\xa2", 1) + hello}},
		{"unasked", []string{"<220 hi\r\n", ">" + hello}},
		{"late", []string{"<" + strings.Repeat("x", turnMost), ">STARTTLS\r\n", "<220 go\r\n", ">" + hello}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var heard turn
			for n, s := range c.said {
				from := exchange.Client
				if s[0] == '<' {
					from = exchange.Server
				}
				clear, rest, _ := strings.Cut(s[1:], "|")
				if got := heard.hear(from, []byte(clear+rest)); got != len(clear) {
					t.Errorf("of %q, number %d, %d bytes are clear; want %d", s, n, got, len(clear))
				}
			}
		})
	}
}

// FuzzTurn holds that what is said in the clear is some of what is said, and that little is kept.
func FuzzTurn(f *testing.F) {
	f.Add([]byte("<220 hi\r\n"), []byte("STARTTLS\r\n"), []byte("220 go\r\n"), []byte("\x16\x03\x01"))
	f.Fuzz(func(t *testing.T, a, b, c, d []byte) {
		var heard turn
		for n, said := range [][]byte{a, b, c, d, b, c, d} {
			if got := heard.hear(exchange.Side(n%2), said); got < 0 || got > len(said) {
				t.Fatalf("%d of %d bytes are clear", got, len(said))
			}
		}
		if n := len(heard.said[0]) + len(heard.said[1]); n > 2*heldMost {
			t.Errorf("%d bytes are kept", n)
		}
	})
}

// TestRecordSTARTTLS follows a connection into TLS, and shows the watcher what is said there.
func TestRecordSTARTTLS(t *testing.T) {
	theirs, ours := newAuthority(t), newAuthority(t)
	leaf, err := theirs.leaf(apiName, nil)
	if err != nil {
		t.Fatal(err)
	}
	origin := raw(t, func(c net.Conn) {
		io.WriteString(c, "220 hi\r\n")
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, "220 go ahead\r\n")
		inner := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
		line, _ := bufio.NewReader(inner).ReadString('\n')
		io.WriteString(inner, "250 "+line)
		inner.Close()
	})
	w, l := newWatcher(), new(told)
	addr := front(t, &Record{Server: NewServer(ours.leaf, true), Upstream: &Upstream{Roots: theirs.pool}, Watcher: w, Tell: l.tell()}, origin, "")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	r.ReadString('\n')
	io.WriteString(c, "STARTTLS\r\n")
	if got, _ := r.ReadString('\n'); got != "220 go ahead\r\n" {
		t.Fatalf("STARTTLS was answered %q", got)
	}
	inner := tls.Client(c, &tls.Config{ServerName: apiName, RootCAs: ours.pool})
	io.WriteString(inner, "EHLO me\r\n")
	if got, err := io.ReadAll(inner); string(got) != "250 EHLO me\r\n" || err != nil {
		t.Errorf("inside TLS was answered %q, %v; troubles %v", got, err, l.all())
	}
	inner.Close()
	waitFor(t, func() bool { _, asked, _ := w.seen(); return asked == "STARTTLS\r\nEHLO me\r\n" }, "what the client said")
	if heads, asked, said := w.seen(); asked != "STARTTLS\r\nEHLO me\r\n" || said != "220 hi\r\n220 go ahead\r\n250 EHLO me\r\n" || len(heads) != 1 {
		t.Errorf("watched %q: %q and %q", heads, asked, said)
	}
}
