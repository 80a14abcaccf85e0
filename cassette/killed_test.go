package cassette

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// recorderArg makes this test binary a recorder that is to be killed.
const recorderArg = "record-until-killed"

// killKey is the key of what such recorders encrypt.
const killKey = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

// answerOf is the body of the answer to a request: of some bytes mostly, and at
// times of hundreds of KiB, some of it binary.
func answerOf(path string) []byte {
	h := fnv.New64a()
	io.WriteString(h, path)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	size := r.IntN(600)
	if r.IntN(8) == 0 {
		size = r.IntN(300 << 10)
	}
	line := make([]byte, 61)
	for i := range line {
		line[i] = "abcdefghijklmnop"[r.IntN(16)]
	}
	b := bytes.Repeat(line, size/len(line)+1)[:size]
	if size > 0 && r.IntN(2) == 0 {
		b[0] = 0
	}
	return b
}

// recorderMain records to the cassette k in the directory args[0], as the words
// after it say, from eight connections at a time. It prints the path of each
// answer that its client has whole, and "closing" when it has made enough.
func recorderMain(args []string) {
	s, err := Open(args[0])
	if err != nil {
		panic(err)
	}
	key, err := ParseKey(killKey)
	if err != nil {
		panic(err)
	}
	s.Unlock(key)
	r, err := s.Record("k", RecordOptions{Encrypt: strings.Contains(args[1], "encrypt"), Append: strings.Contains(args[1], "append")})
	if err != nil {
		panic(err)
	}
	var conns sync.WaitGroup
	for c := range 8 {
		conns.Go(func() {
			for n := range 3 {
				converse(r, fmt.Sprintf("/%d/%d", c, n))
			}
		})
	}
	conns.Wait()
	fmt.Println("closing")
	if _, err := r.Close(false); err != nil {
		panic(err)
	}
	fmt.Println("closed")
	os.Exit(0)
}

// converse tells of five exchanges on one connection, and of each, when it is
// written, prints its path: then a client would get the last byte.
func converse(r *Recorder, path string) {
	w, err := r.Open(origin())
	if err != nil {
		panic(err)
	}
	defer w.Close()
	for n := range 5 {
		path := fmt.Sprintf("%s/%d", path, n)
		stream := uint64(n + 1)
		must := func(e exchange.Event) {
			e.Stream = stream
			if err := w.Event(e); err != nil {
				panic(err)
			}
		}
		must(exchange.Event{From: exchange.Client, Kind: exchange.KindHead, Head: get(path, "Cookie: a=secret")})
		must(exchange.Event{From: exchange.Client, Kind: exchange.KindEnd, End: &exchange.End{}})
		must(exchange.Event{From: exchange.Server, Kind: exchange.KindHead, Head: ok("Transfer-Encoding: chunked")})
		for b := answerOf(path); len(b) > 0; {
			k := min(16<<10, len(b))
			must(exchange.Event{From: exchange.Server, Kind: exchange.KindData, Data: b[:k], Chunk: int64(k)})
			if err := w.Flush(); err != nil { // it is passed on
				panic(err)
			}
			b = b[k:]
		}
		must(exchange.Event{From: exchange.Server, Kind: exchange.KindEnd, End: &exchange.End{}})
		if err := w.Flush(); err != nil {
			panic(err)
		}
		fmt.Println(path)
	}
}

// TestKilledRecorder kills a recorder at work, at any moment or while it makes a
// cassette of its journal. The old cassette is whole then, or the new one is, and
// in that, or beside the old one, is every answer that a client got whole.
func TestKilledRecorder(t *testing.T) {
	rounds := 9
	if os.Getenv("SERGE_TEST_ALL") != "" {
		rounds = 1500
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for n := range rounds {
		words := []string{"first", "again", "append to old", "encrypt first", "encrypt again", "encrypt, append to old"}[n%6]
		killOne(t, words, rnd, rnd.IntN(2) == 0)
	}
}

// killOne kills one recorder, late: after it began to close.
func killOne(t *testing.T, words string, rnd *rand.Rand, late bool) {
	t.Helper()
	s, dir := newStore(t)
	key, err := ParseKey(killKey)
	if err != nil {
		t.Fatal(err)
	}
	s.Unlock(key)
	had := !strings.Contains(words, "first")
	if had {
		recordAll(t, s, "k", RecordOptions{Encrypt: strings.Contains(words, "encrypt")}, asked{req: get("/old"), res: ok(), answer: string(answerOf("/old"))})
	}
	cmd := exec.Command(os.Args[0], recorderArg, dir, words)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got []string
	var killed bool
	kill := func(within time.Duration) {
		killed = true
		timer := time.NewTimer(time.Duration(rnd.Int64N(int64(within))))
		defer timer.Stop()
		<-timer.C
		cmd.Process.Kill()
	}
	closed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); line {
		case "closing":
			if !killed {
				kill(60 * time.Millisecond)
			}
		case "closed":
			closed = true
		default:
			got = append(got, line)
			if !late && !killed {
				kill(40 * time.Millisecond)
			}
		}
	}
	cmd.Wait() // killed, mostly
	if stderr.Len() > 0 {
		t.Errorf("%s: the recorder says %s", words, stderr.String())
	}
	if strings.Contains(words, "encrypt") {
		noPlain(t, dir, "api.example.com", "abcdefgh")
	}
	if _, _, err := s.Recover("k"); err != nil {
		t.Errorf("%s: Recover = %v", words, err)
		return
	}
	holdsGot(t, s, words, got, had, closed)
}

// holdsGot holds that of what clients got nothing is lost, and nothing is there
// that was never sent.
func holdsGot(t *testing.T, s *Store, words string, got []string, had, closed bool) {
	t.Helper()
	found := map[string]bool{}
	for _, name := range []string{"k", failedDir + "/k"} {
		c, err := s.load(name)
		if err != nil {
			if name == "k" && (had || len(got) > 0) {
				t.Errorf("%s: %v", words, err)
			}
			continue
		}
		if err := s.checkFiles(name, c); err != nil {
			t.Errorf("%s: %v", words, err)
		}
		if name == "k" && had && c.Incomplete {
			t.Errorf("%s: an incomplete cassette took the place of a complete one", words)
		}
		seen := map[string]bool{}
		for _, i := range c.Interactions {
			_, path, _ := strings.Cut(i.Request.URL, "api.example.com")
			want := sha256.Sum256(answerOf(path))
			i.Response.Body.sum = ""
			sum, err := i.Response.Body.Sum()
			if err != nil || sum != hex.EncodeToString(want[:]) || seen[path] {
				t.Errorf("%s: %s: %s is wrong, or there twice: %v", words, name, path, err)
			}
			seen[path], found[path] = true, true
		}
	}
	for _, path := range got {
		if !found[path] {
			t.Errorf("%s: a client got %s whole, and it is lost (%d are there; closed: %v)", words, path, len(found), closed)
		}
	}
	if had && strings.Contains(words, "append") && !found["/old"] {
		t.Errorf("%s: the old interaction is lost", words)
	}
}
