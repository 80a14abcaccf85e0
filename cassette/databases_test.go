package cassette

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

// pgMessage is a message of PostgreSQL's protocol.
func pgMessage(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

// auth is what a PostgreSQL server asks for.
func auth(asks byte, more string) string { return pgMessage('R', "\x00\x00\x00"+string(asks)+more) }

// scram is a conversation in which a client proves what it knows, with a nonce.
func scram(nonce string) chat {
	return chat{
		"> \x00\x00\x00\x0d\x00\x03\x00\x00user\x00",
		"< " + auth(pgSASL, "SCRAM-SHA-256\x00\x00"),
		"> " + pgMessage('p', "SCRAM-SHA-256\x00\x00\x00\x00\x08n,,r="+nonce),
		"< " + auth(pgSASLContinue, "r="+nonce+"xyz,s=c2FsdA==,i=4096"),
		"> " + pgMessage('p', "c=biws,r="+nonce+"xyz,p=proof"+nonce),
		"< " + auth(pgSASLFinal, "v=sig"+nonce) + auth(pgOK, "") + pgMessage('K', "\x00\x00\x00\x07"+nonce[:4]) + pgMessage('Z', "I"),
		"> " + pgMessage('Q', "select 1\x00"), "< " + pgMessage('C', "SELECT 1\x00") + pgMessage('Z', "I"), "> " + pgMessage('X', ""), ">fin", "<fin",
	}
}

// TestConversationSCRAM lets a client in that would prove what cannot be checked, and says so;
// and takes two recordings of it for the same.
func TestConversationSCRAM(t *testing.T) {
	s, dir := newStore(t)
	was := scram("abcdef")
	recordTalks(t, s, RecordOptions{}, was)
	p, err := load(t, s, "x").Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := append(chat{was[0], "< " + was[5][strings.Index(was[5], auth(pgOK, "")):]}, was[6:]...)
	if d := cmp.Diff(want, replayed(t, p, want.ofClient())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := p.Tally().Assumptions; len(got) != 1 || got[0].Evidence != scramEvidence {
		t.Errorf("assumed %v", got)
	}
	before := read(t, dir, "x.json")
	if sum := recordTalks(t, s, RecordOptions{}, scram("ghijkl")); sum.Changed {
		t.Errorf("another nonce changes the file:\n%s", cmp.Diff(before, read(t, dir, "x.json")))
	}
}

// TestWithoutSCRAM leaves alone what is not all of SCRAM.
func TestWithoutSCRAM(t *testing.T) {
	whole := scram("abcdef").messages()
	if _, ok := withoutSCRAM(whole); !ok {
		t.Error("SCRAM is not found")
	}
	for n := range whole[:6] {
		if cut := append(append([]Message{}, whole[:n]...), whole[n+1:]...); n > 0 {
			if _, ok := withoutSCRAM(cut); ok {
				t.Errorf("without message %d it is taken for SCRAM", n)
			}
		}
	}
	refused := append([]Message{}, whole...)
	refused[5].Body = bodyOf([]byte(auth(pgSASLFinal, "v=sig") + pgMessage('E', "no")))
	if _, ok := withoutSCRAM(refused); ok {
		t.Error("a client that was refused would be let in")
	}
}

// messages are what is said in l.
func (l chat) messages() []Message {
	var out []Message
	for _, line := range l {
		if line[1] == ' ' {
			m := Message{Body: bodyOf([]byte(line[2:]))}
			if line[0] == '<' {
				m.From = exchange.Server
			}
			out = append(out, m)
		}
	}
	return out
}

// packet is one of MySQL's protocol.
func packet(number byte, body string) string {
	return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, number}) + body
}

// mysql is a conversation with a MySQL server, which made up nonce, of process pid.
func mysql(nonce, pid string) chat {
	greeting := "\x0a8.0.36\x00" + "\x01\x02\x03\x04" + nonce[:8] + "\x00" + strings.Repeat("\x01", 18) + nonce[8:20] + "\x00mysql_native_password\x00"
	attrs := "\x04_pid" + string(rune(len(pid))) + pid + "\x03_os\x05Linux"
	flags := string(binary.LittleEndian.AppendUint32(nil, mysqlSecure|mysqlPluginAuth|mysqlAttributes))
	answer := flags + strings.Repeat("\x00", 28) + "ann\x00\x14" + nonce[:20] + "mysql_native_password\x00" + string(rune(len(attrs))) + attrs
	return chat{"< " + packet(0, greeting), "> " + packet(1, answer), "< " + packet(2, "\x00\x00\x00\x02\x00\x00\x00"), "> " + packet(0, "\x01"), ">fin", "<fin"}
}

// TestConversationMySQL takes a client for the recorded one that is another process, which its
// answer to the greeting tells; and two recordings of it for the same.
func TestConversationMySQL(t *testing.T) {
	const nonce = "abcdefghijklmnopqrst"
	s, dir := newStore(t)
	recordTalks(t, s, RecordOptions{}, mysql(nonce, "311"))
	p, err := load(t, s, "x").Player(PlayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := mysql(nonce, "31999")
	whole := want[1]
	live := append(chat{"> " + whole[2:7], "> " + whole[7:60], "> " + whole[60:]}, want[3:].ofClient()...)
	got := replayed(t, p, live)
	if last := len(got) - 1; got[last] != "<fin" || len(got) != 1+len(live)+2 {
		t.Errorf("%q", got)
	}
	if all := p.Tally().Assumptions; len(all) != 1 || !strings.Contains(all[0].Evidence, "another process") {
		t.Errorf("assumed %v", all)
	}
	before := read(t, dir, "x.json")
	if sum := recordTalks(t, s, RecordOptions{}, mysql("ABCDEFGHIJKLMNOPQRST", "7")); sum.Changed {
		t.Errorf("another nonce changes the file:\n%s", cmp.Diff(before, read(t, dir, "x.json")))
	}
	other := mysql(nonce, "311")
	other[1] = strings.Replace(other[1], "ann", "bob", 1)
	if got := replayed(t, p, other.ofClient()); !strings.HasPrefix(got[len(got)-1], "miss: the client said something else at byte 36") {
		t.Errorf("another user: %q", got)
	}
}

// FuzzDatabases reads what databases say, whatever it is.
func FuzzDatabases(f *testing.F) {
	for _, l := range []chat{scram("abcdef"), mysql("abcdefghijklmnopqrst", "311")} {
		ms := l.messages()
		f.Add(ms[0].Body.data, ms[1].Body.data, ms[2].Body.data)
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		i := &Interaction{TCP: &TCP{}}
		for n, data := range [][]byte{a, b, c, a, b, c} {
			i.Upgraded = append(i.Upgraded, Message{From: exchange.Side(1 - n%2), Body: bodyOf(bytes.Clone(data))})
		}
		i.steady()
		for n, data := range [][]byte{a, b, c} {
			if !bytes.Equal(i.Upgraded[n].Body.data, data) {
				t.Errorf("message %d was changed", n)
			}
		}
		for data := range pgFramesLen(a) {
			if data > len(a) {
				t.Errorf("a message of %d bytes in %d", data, len(a))
			}
		}
	})
}

// pgFramesLen are the sizes of the messages in b.
func pgFramesLen(b []byte) map[int]bool {
	out := map[int]bool{}
	for _, body := range pgFrames(b) {
		out[5+len(body)] = true
	}
	return out
}

// FuzzConversation records what both sides say, and plays it to a client that says the same, cut
// otherwise: it hears the same.
func FuzzConversation(f *testing.F) {
	f.Add([]byte("hi\x00PING\x00PONG\x00{{secret:a#1}}\x00bye"), byte(3))
	f.Add([]byte("\x00\x00{{lit}}\xff\x00token=ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00x"), byte(1))
	f.Fuzz(func(t *testing.T, said []byte, cut byte) {
		var was, live chat
		heard := map[string]string{}
		for n, part := range bytes.Split(said, []byte{0}) {
			if len(part) == 0 {
				continue
			}
			side := "><"[n%2 : n%2+1]
			was = append(was, side+" "+string(part))
			heard[side] += string(part)
			for size := int(cut%7) + 1; side == ">" && len(part) > 0; {
				k := min(size, len(part))
				live = append(live, "> "+string(part[:k]))
				part = part[k:]
			}
		}
		if len(was) == 0 {
			return
		}
		s, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		recordTalks(t, s, RecordOptions{Redact: Redaction{Off: true}}, append(was, ">fin", "<fin"))
		c, err := s.Load("x")
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Player(PlayOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, line := range replayed(t, p, append(live, ">fin")) {
			if text, ok := strings.CutPrefix(line, "< "); ok {
				got += text
			} else if strings.HasPrefix(line, "miss") {
				t.Fatalf("%q of %q", line, was)
			}
		}
		if got != heard["<"] {
			t.Errorf("heard %q; recorded %q", got, heard["<"])
		}
	})
}
