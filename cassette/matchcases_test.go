package cassette

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// A matchCase is a recording, what is asked of it, and what must come of that.
type matchCase struct {
	known []string // secrets when it is recorded
	bare  bool     // it is recorded with its secrets
	name  string
	opt   PlayOptions
	rec   []asked
	live  []said
	has   string // in what was assumed, found ambiguous, or missed for
}

// bare is c, recorded with its secrets.
func bare(c matchCase) matchCase {
	c.bare = true
	return c
}

// A said is a live request, and the body of its answer or "miss".
type said struct {
	req        *exchange.Head
	body, want string
}

// Random values of the recording (u) and of the run that is replayed (v).
const (
	u1, u2, u3 = "0b0e6f1c-52a9-48a1-8c3e-9a520c2b1f60", "1c0e6f1c-52a9-48a1-8c3e-9a520c2b1f61", "2d0e6f1c-52a9-48a1-8c3e-9a520c2b1f62"
	v1, v2, v3 = "a7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c21", "b7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c22", "c7d2c9e4-1b3f-4d5a-9e8c-7f6b5a4d3c23"

	hex24u, hex24v   = "507f1f77bcf86cd799439011", "65a1b2c3d4e5f60718293a4b"
	ulidU, ulidV     = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"
	ksuidU, ksuidV   = "0ujtsYcgvSTl8PAuAdqWYSMnLOv", "0ujzPyRiIAffKhBux4PvQdDqMHY"
	pkceU, pkceV     = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	hex64u, hex64v   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
	jsonType         = "Content-Type: application/json"
	formType         = "Content-Type: application/x-www-form-urlencoded"
	xmlType          = "Content-Type: text/xml; charset=utf-8"
	graphQL, fixed10 = `{"operationName":"U","query":"%s","variables":{"id":"%s"}}`, "1234567890"
)

// recordedAgo is how long ago the cases were recorded.
const recordedAgo = 1000 * time.Hour

// then and now are moments at the recording and at the replay, in a form.
func then(form string) string { return time.Now().Add(-recordedAgo).UTC().Format(form) }
func now(form string) string  { return time.Now().Add(time.Second).UTC().Format(form) }

// unixThen and unixNow are the same in units of so many to the second.
func unixThen(unit int64) string {
	return fmt.Sprint(time.Now().Add(-recordedAgo).UnixMicro() / (1e6 / unit))
}
func unixNow(unit int64) string { return fmt.Sprint(time.Now().UnixMicro() / (1e6 / unit)) }

// rec is an exchange that was recorded.
func rec(req *exchange.Head, body, answer string, lines ...string) asked {
	return asked{req: req, body: body, res: ok(lines...), answer: answer}
}

// put and patch and del are requests' heads.
func with(method string, h *exchange.Head) *exchange.Head { h.Method = method; return h }

// gzipped is s in gzip.
func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// jwt is a token of sub.
func jwt(sub string, iat int) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256"}`)) + "." + enc(fmt.Appendf(nil, `{"sub":%q,"iat":%d}`, sub, iat)) + "." + enc([]byte("signature of it"))
}

// proto is a message with the string s as field n, then whatever follows.
func proto(n byte, s string) string { return string([]byte{n<<3 | 2, byte(len(s))}) + s }

// frame is a message as gRPC has it.
func enveloped(m string) string { return string([]byte{0, 0, 0, 0, byte(len(m))}) + m }

// one is a case of one recording and one request that is answered by it, or not.
func one(name string, r, l *exchange.Head, rb, lb string, hit bool, has ...string) matchCase {
	want := "miss"
	if hit {
		want = "A"
	}
	return matchCase{name: name, rec: []asked{rec(r, rb, "A")}, live: []said{{l, lb, want}}, has: strings.Join(has, "")}
}

// matchCases are all of them.
func matchCases() []matchCase {
	var all []matchCase
	for _, cs := range [][]matchCase{equalCases(), conditionCases(), identityCases(), evidenceCases(), ruleCases()} {
		all = append(all, cs...)
	}
	return all
}

// recorded is the cassette of c.
func (c matchCase) recorded(t *testing.T) *Cassette {
	t.Helper()
	s, _ := newStore(t)
	for i := range c.rec {
		c.rec[i].at = time.Duration(i) * time.Minute
	}
	redact := known(t, c.known...)
	redact.Off = c.bare
	recordAll(t, s, "x", RecordOptions{Redact: redact}, c.rec...)
	k := load(t, s, "x")
	k.RecordedAt = time.Now().Add(-recordedAgo)
	return k
}

// run asks what c asks of k, without the law off, and says what is wrong.
func (c matchCase) run(t *testing.T, k *Cassette, off law) string {
	t.Helper()
	opt := c.opt
	opt.off = off
	p := playerOf(t, k, opt)
	var said strings.Builder
	for n, l := range c.live {
		a := ask(t, p, l.req, l.body)
		got := a.body
		if a.miss != nil {
			got = "miss"
			fmt.Fprintln(&said, a.miss.Error())
		}
		if got != l.want {
			return fmt.Sprintf("request %d is answered %q; want %q\n%s", n, got, l.want, said.String())
		}
	}
	tally := p.Tally()
	for _, a := range tally.Assumptions {
		fmt.Fprintln(&said, a.Evidence)
	}
	for _, a := range tally.Ambiguous {
		fmt.Fprintln(&said, "ambiguous:", a.Evidence)
	}
	if strings.Contains(said.String(), "hunter") {
		return "it tells a secret:\n" + said.String()
	}
	if !strings.Contains(said.String(), c.has) {
		return fmt.Sprintf("it says\n%swant %q in it", said.String(), c.has)
	}
	return ""
}

// TestMatch plays each case.
func TestMatch(t *testing.T) {
	for _, c := range matchCases() {
		if wrong := c.run(t, c.recorded(t), 0); wrong != "" {
			t.Errorf("%s: %s", c.name, wrong)
		}
	}
}

// TestEveryLawIsNeeded lifts each law of matching: without it, a case fails.
func TestEveryLawIsNeeded(t *testing.T) {
	cases := matchCases()
	cassettes := make([]*Cassette, len(cases))
	for i, c := range cases {
		cassettes[i] = c.recorded(t)
	}
	for off := law(1); off < lawEnd; off <<= 1 {
		failed := ""
		for i, c := range cases {
			if c.run(t, cassettes[i], off) != "" {
				failed = c.name
				break
			}
		}
		if failed == "" {
			t.Errorf("law %d is lifted, and no case fails", bitOf(off))
		} else {
			t.Logf("law %d: %s", bitOf(off), failed)
		}
	}
}

// TestDefaultPort holds that a URL with the port that its scheme implies is one
// without, as other programs write them.
func TestDefaultPort(t *testing.T) {
	for with, without := range map[string]string{
		"http://a:80/x": "http://A/x", "https://a:443/x": "https://a/x", "wss://a:443/x": "wss://a/x", "ws://a:80": "ws://a/",
	} {
		a, err := new(rules).formOf(&Request{Method: "GET", URL: with})
		b, err2 := new(rules).formOf(&Request{Method: "GET", URL: without})
		if err != nil || err2 != nil || a.sum != b.sum {
			t.Errorf("%s is not %s: %v, %v", with, without, err, err2)
		}
	}
}

// bitOf is the place of a law in its list.
func bitOf(l law) int {
	n := 0
	for ; l > 1; l >>= 1 {
		n++
	}
	return n
}

// TestCutOff compares a request with no more recordings than that takes a moment,
// and says so, whether it finds one or not.
func TestCutOff(t *testing.T) {
	var as []asked
	for n := range compareMost + 1 {
		as = append(as, rec(post("/a", jsonType), fmt.Sprintf(`{"id":"0b0e6f1c-52a9-48a1-8c3e-%012d"}`, n), fmt.Sprint(n)))
	}
	p := playerOf(t, matchCase{rec: as}.recorded(t), PlayOptions{})
	if a := ask(t, p, post("/a", jsonType), `{"id":"`+v1+`"}`); a.body != "0" {
		t.Errorf("answered %q, %v; want 0", a.body, a.miss)
	}
	const want = "compared 200 of 201 recordings"
	if as := p.Tally().Assumptions; len(as) != 2 || as[1].Evidence != want {
		t.Errorf("assumptions %v; want %q among them", as, want)
	}
	if a := ask(t, p, post("/a", jsonType), `{"id":1}`); a.miss == nil || a.miss.Reason != want {
		t.Errorf("miss %v; want %q", a.miss, want)
	}
}

// TestServedBack holds that what a client made up comes back to it in a compressed
// answer and in one of another length, with a length that is right.
func TestServedBack(t *testing.T) {
	long := jwt("ada", 1700000000)
	p := playerOf(t, matchCase{rec: []asked{
		rec(post("/z", jsonType), `{"id":"`+u1+`"}`, gzipped(`{"id":"`+u1+`"}`), jsonType, "Content-Encoding: gzip", "Content-Length: 58"),
		rec(post("/j", jsonType), `{"t":"`+jwt("ada", 1)+`"}`, `{"t":"`+jwt("ada", 1)+`"}`, "Content-Length: "+fmt.Sprint(len(jwt("ada", 1))+8)),
	}}.recorded(t), PlayOptions{})
	a := ask(t, p, post("/z", jsonType), `{"id":"`+v1+`"}`)
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err, a.miss)
	}
	plain, err := io.ReadAll(z)
	n, _ := exchange.Get(a.heads[0].Fields, "content-length")
	if err != nil || string(plain) != `{"id":"`+v1+`"}` || n != fmt.Sprint(len(a.body)) {
		t.Errorf("answered %s, %v, of length %s; want %s and %d", plain, err, n, v1, len(a.body))
	}
	a = ask(t, p, post("/j", jsonType), `{"t":"`+long+`"}`)
	n, _ = exchange.Get(a.heads[0].Fields, "content-length")
	if want := `{"t":"` + long + `"}`; a.body != want || n != fmt.Sprint(len(want)) {
		t.Errorf("answered %s of length %s, %v; want %s", a.body, n, a.miss, want)
	}
}
