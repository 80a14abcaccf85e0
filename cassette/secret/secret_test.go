package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jwtOf is a JSON Web Token as the makers of such write it.
func jwtOf(payload string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + e([]byte(payload)) + "." + e([]byte("0123456789abcdef0123456789abcdef"))
}

// sample is a value of t that no one was ever given.
func (t token) sample(r *rand.Rand) string {
	var set []byte
	for c, ok := range letters(t.of) {
		if ok && c > 0 && (c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9') {
			set = append(set, byte(c))
		}
	}
	b := make([]byte, t.least)
	for i := range b {
		b[i] = set[r.IntN(len(set))]
	}
	return t.prefix + string(b)
}

// samples are one secret of every kind that is told by its looks.
func samples() map[string]string {
	r := rand.New(rand.NewPCG(1, 2))
	out := map[string]string{"jwt": jwtOf(`{"sub":"ada"}`)}
	for _, t := range issued() {
		out[t.class+" "+t.prefix] = t.sample(r)
	}
	return out
}

func newSet(t testing.TB, c Config) *Set {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encodings are the ways in which a value may be written in a text.
func encodings() map[string]func(string) string {
	out := map[string]func(string) string{
		"plain": func(s string) string { return `{"note":"` + s + `"}` },
		"percent": func(s string) string {
			return "a=1&b=" + strings.ReplaceAll(url.QueryEscape("x "+s+" y"), "+", "%20") + "&c=2"
		},
		"json": func(s string) string { b, _ := json.Marshal("say: " + s + "\n"); return string(b) },
	}
	for before := range 3 {
		for name, e := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.RawURLEncoding} {
			out[fmt.Sprint(name, before)] = func(s string) string {
				return `{"data":"` + e.EncodeToString([]byte(strings.Repeat(" ", 3+before)+s+" and more")) + `"}`
			}
		}
	}
	return out
}

// rest is text with what was found taken out, and the values found.
func rest(text string, found []Finding) (string, []string) {
	var b strings.Builder
	var values []string
	at := 0
	for _, f := range found {
		b.WriteString(text[at:f.From] + "*")
		values = append(values, f.Value)
		at = f.To
	}
	return b.String() + text[at:], values
}

func TestTokens(t *testing.T) {
	s := newSet(t, Config{})
	for name, value := range samples() {
		for how, write := range encodings() {
			text := write(value)
			found := s.Find([]byte(text))
			_, values := rest(text, found)
			if d := cmp.Diff([]string{value}, values); d != "" {
				t.Errorf("%s, %s: in %s (-want +found):\n%s", name, how, text, d)
				continue
			}
			if f := found[0]; f.Form.Encode(f.Value) != text[f.From:f.To] {
				t.Errorf("%s, %s: %q in form %q is %q; it was %q", name, how, f.Value, f.Form, f.Form.Encode(f.Value), text[f.From:f.To])
			}
		}
	}
}

// TestKnown finds values that nothing but themselves tells.
func TestKnown(t *testing.T) {
	for _, value := range []string{"correct-horse-battery", "p@ss/w+rd & \"more\"\\", "äöü-ß-geheim", "12345678", "<b>bold</b>~x"} {
		s := newSet(t, Config{Known: []Known{{"env", value}}})
		all := encodings()
		all["hex"] = func(s string) string { return "0x" + hex.EncodeToString([]byte(s)) }
		all["HEX"] = func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) + " " }
		all["path"] = func(s string) string { return "/a/" + url.PathEscape(s) + "/b" }
		all["json"] = func(s string) string {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			_ = e.Encode(s)
			return b.String()
		}
		for how, write := range all {
			text := write(value)
			found := s.Find([]byte(text))
			if _, values := rest(text, found); len(values) != 1 || values[0] != value {
				if how == "plain" && strings.ContainsAny(value, `"\`) {
					continue // no JSON
				}
				t.Errorf("%q, %s: in %s found %q", value, how, text, values)
			}
		}
	}
}

// TestFields finds values by their names, in the forms that carry names.
func TestFields(t *testing.T) {
	s := newSet(t, Config{})
	for _, c := range []struct{ in, want string }{
		{`{"client_secret":"abcd-1234","x":1}`, `{"client_secret":"*","x":1}`},
		{`{"accessToken" : "opaque.1234"}`, `{"accessToken" : "*"}`},
		{`{"dbPassword":"a\"b\\c d"}`, `{"dbPassword":"*"}`},
		{`{"body":"{\"refresh_token\":\"zzz-123456\"}"}`, `{"body":"{\"refresh_token\":\"*\"}"}`},
		{`grant_type=authorization_code&code=4/0AX4XfWh&redirect_uri=x`, `grant_type=authorization_code&code=*&redirect_uri=x`},
		{`GET /cb?code=SplxlOBeZQ&state=af0ifjsldkj HTTP/1.1`, `GET /cb?code=*&state=af0ifjsldkj HTTP/1.1`},
		{`user%5Bpassword%5D=hunter%212&z=1`, `user%5Bpassword%5D=*&z=1`},
		{`user[password]=hunter22&z=1`, `user[password]=*&z=1`},
		{`password=hunter22`, `password=*`},
		{"<password>hunter22</password>", "<password>*</password>"},
		{"Content-Disposition: form-data; name=\"password\"\r\n\r\nhunter22\r\n--x", "Content-Disposition: form-data; name=\"password\"\r\n\r\n*\r\n--x"},
		{`aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`, `aws_secret_access_key=*`},
		{`<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>`, `<SecretAccessKey>*</SecretAccessKey>`},
		{`{"token":"f81d4fae7dec11d0a76500a0"}`, `{"token":"*"}`},
		{`postgres://ada:s3cr3t!@db.example.com:5432/x`, `postgres://ada:*@db.example.com:5432/x`},
		{"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASC\n-----END PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----\n"},
		{`"-----BEGIN EC PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END EC PRIVATE KEY-----\n"`, `"-----BEGIN EC PRIVATE KEY-----\n*\n-----END EC PRIVATE KEY-----\n"`},
	} {
		if got, _ := rest(c.in, s.Find([]byte(c.in))); got != c.want {
			t.Errorf("%s\n gave %s\n want %s", c.in, got, c.want)
		}
	}
}

// TestInnocent leaves alone what tests are full of.
func TestInnocent(t *testing.T) {
	s := newSet(t, Config{})
	r := rand.New(rand.NewPCG(3, 4))
	image := make([]byte, 200<<10)
	for i := range image {
		image[i] = byte(r.Uint32())
	}
	for _, in := range []string{
		`{"id":"6f1c0a52-98a1-4c3e-9a52-0c2b1f6e0001","sha":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}`,
		`{"key":"value","key2":"a-b-c","api_key":"none","token":"next-page","secret":"santa","code":"US-12345"}`,
		`{"password":""} {"password":null} {"password":["is too short"]} {"errors":{"password":"required"}}`,
		`https://example.com/?code=12345678&x=1`, `https://user@example.com/`, `http://[::1]:8080/@me`, `see http://a/b:c@d`,
		`the password is: not here`, `keyboard=qwertyuiop`, `"etag":"W/\"0815-abcdef0123456789\""`, `sk-learn sk_live npm_config_x AKIA ghp_ eyJ eyJhIjoxfQ`,
		`{"next_token":"abc","pageToken":"def"}`, "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIE\n-----END CERTIFICATE-----",
		`ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 ada@example.com`, base64.StdEncoding.EncodeToString(image), string(image),
		hex.EncodeToString(image[:4096]), `{"session":"1234567890","user":"ada"}`, `tokens=100&token_type=bearer&expires_in=3600`,
		`grafana eyJrIjoiT0tTcG1pUlY2RnVKZTFVaDFsNFZXdE9ZWmNrMkZYbk0=`,
	} {
		if got, values := rest(in, s.Find([]byte(in))); len(values) > 0 {
			t.Errorf("%.80s: found %q\n%.200s", in, values, got)
		}
	}
}

// TestStream finds the same however a text is cut, and holds little back.
func TestStream(t *testing.T) {
	s := newSet(t, Config{Known: []Known{{"env", "s3cr3t+/value with \"all\""}}})
	values := samples()
	text := `{"client_secret":"abcd-1234"} ` + values["github ghp_"] + " https://u:passw0rt@h/ " + values["jwt"] + "\n" +
		base64.StdEncoding.EncodeToString([]byte("b:"+values["aws AKIA"]+"!")) + " " +
		base64.StdEncoding.EncodeToString([]byte("s3cr3t+/value with \"all\"")) + url.QueryEscape("s3cr3t+/value with \"all\"") +
		" grant_type=authorization_code&code=SplxlOBeZQ\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\nend"
	want, all := rest(text, s.Find([]byte(text)))
	if len(all) != 9 {
		t.Fatalf("found %d: %q", len(all), all)
	}
	feed := func(pieces ...string) string {
		var b strings.Builder
		st := s.Stream()
		for i, p := range pieces {
			st.Next([]byte(p), i == len(pieces)-1, func(text []byte, f *Finding) {
				if f != nil {
					text = []byte("*")
				}
				b.Write(text)
			})
		}
		return b.String()
	}
	for i := range text {
		if got := feed(text[:i], text[i:]); got != want {
			t.Fatalf("cut at %d:\n%s\nwant\n%s", i, got, want)
		}
	}
	if got := feed(strings.Split(text, "")...); got != want {
		t.Errorf("byte by byte:\n%s\nwant\n%s", got, want)
	}
	st := s.Stream()
	st.Next([]byte("data: tick\n\n"), false, func([]byte, *Finding) {})
	if st.Held() > 1 {
		t.Errorf("%d bytes are held back behind an event", st.Held())
	}
}

func TestJSONPaths(t *testing.T) {
	s := newSet(t, Config{JSON: []string{"$.user.pin", "$..deep", "$.list[*].x", "$.list[1].y"}})
	in := `{"user": {"pin": "1234", "pin2": "5"}, "a": [{"deep": "d1"}], "list": [{"x": "x0", "y": "y0"}, {"x":"x1","y":"y\n1"}], "pin":"out", "deep": 5}`
	want := `{"user": {"pin": "*", "pin2": "5"}, "a": [{"deep": "*"}], "list": [{"x": "*", "y": "y0"}, {"x":"*","y":"*"}], "pin":"out", "deep": 5}`
	if got, _ := rest(in, s.FindJSON([]byte(in))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{"", "$", "x.y", "$.a[", "$.a[?(@.b)]", "$."} {
		if _, err := New(Config{JSON: []string{bad}}); err == nil {
			t.Errorf("JSONPath %q is taken", bad)
		}
	}
}

func TestPatterns(t *testing.T) {
	s := newSet(t, Config{Patterns: []string{"acct_[0-9a-f]{16}", `\b[0-9]{4}-[0-9]{4}\b`, "pin=([0-9]+)"}})
	in := "an acct_0123456789abcdef, 1234-5678 and pin=99."
	if got, _ := rest(in, s.Find([]byte(in))); got != "an *, * and pin=*." {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{"(", "a*"} {
		if _, err := New(Config{Patterns: []string{bad}}); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{
		"API_TOKEN=abc-12345678", "DB_PASSWORD=correct horse", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"SSH_KEY=/home/ada/.ssh/id_rsa", "TOKEN=short", "KEYBOARD=qwertzuiop", "TOKEN_URL=https://example.com/token", "PASSWORD=password",
		"HOME=/home/ada1234", "GOOGLE_APPLICATION_CREDENTIALS=/etc/key.json", "API_KEY=f81d4fae7dec11d0a76500a0", "SECRET_KEY_BASE=", "KEY_HEADER=X-Api-Key-Name",
	})
	want := []Known{{"env", "abc-12345678"}, {"env", "correct horse"}, {"env", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, {"env", "f81d4fae7dec11d0a76500a0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// BenchmarkFind is how fast texts are looked through in which there is nothing.
func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var known []Known
	for i := range 10 {
		known = append(known, Known{"env", fmt.Sprintf("%x", random[i*16:i*16+16])})
	}
	s := newSet(b, Config{Known: known})
	for name, text := range map[string][]byte{
		"random": random,
		"base64": []byte(base64.StdEncoding.EncodeToString(random)),
		"json":   bytes.Repeat([]byte(`{"id":12345,"name":"Ada Lovelace","email":"ada@example.com","url":"https://api.example.com/users/12345","tags":["a","b"],"key":"value"},`), 8000),
		"html":   bytes.Repeat([]byte(`<div class="item"><a href="/path/to/page?page=2">The quick brown fox jumps over the lazy dog</a><p>Password help</p></div>`+"\n"), 8000),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s.Find(text)
			}
		})
	}
}

// BenchmarkNew is what a Set costs a run at its start.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		Default()
	}
}
