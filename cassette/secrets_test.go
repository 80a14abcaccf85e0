package cassette

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// seeds are secrets of forty kinds and more that no one was ever given, each
// with a part of it that is nowhere else.
func seeds() map[string]string {
	r := func(n int, set string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = set[(i*i*7+i*11+n*3)%len(set)]
		}
		return string(b)
	}
	const an, hx, up = "aZ3kQ9mW1xC7vB5nM2lJ8hG6fD4sTyUiOpE", "0a1b2c3d4e5f6789", "Q2W4E6R8T0YUIOPA1S3D5F7"
	e := base64.RawURLEncoding.EncodeToString
	return map[string]string{
		"aws key": "AKIA" + r(16, up), "aws session key": "ASIA" + r(16, up), "github": "ghp_" + r(36, an), "github oauth": "gho_" + r(36, an),
		"github server": "ghs_" + r(36, an), "github fine": "github_pat_" + r(82, an), "gitlab": "glpat-" + r(20, an), "gitlab runner": "glrt-" + r(20, an),
		"slack bot": "xoxb-1234567890-" + r(24, an), "slack user": "xoxp-1234567890-" + r(24, an), "slack app": "xapp-1-" + r(30, an),
		"slack hook": "hooks.slack.com/services/T0000/B0000/" + r(24, an), "stripe": "sk_live_" + r(24, an), "stripe test": "sk_test_" + r(24, an),
		"stripe restricted": "rk_live_" + r(24, an), "stripe hook": "whsec_" + r(32, an), "google": "AIza" + r(35, an), "google token": "ya29." + r(60, an),
		"google secret": "GOCSPX-" + r(28, an), "google refresh": "1//0" + r(50, an), "openai": "sk-proj-" + r(48, an), "anthropic": "sk-ant-api03-" + r(48, an),
		"npm": "npm_" + r(36, an), "pypi": "pypi-AgE" + r(80, an), "docker": "dckr_pat_" + r(27, an), "digitalocean": "dop_v1_" + r(64, hx),
		"shopify": "shpat_" + r(32, hx), "sendgrid": "SG." + r(22, an) + "." + r(43, an), "square": "sq0atp-" + r(22, an), "telegram": ":AA" + r(33, an),
		"databricks": "dapi" + r(32, hx), "doppler": "dp.pt." + r(43, an), "linear": "lin_api_" + r(40, an), "newrelic": "NRAK-" + r(27, up),
		"grafana": "glsa_" + r(32, an) + "_" + r(8, hx), "vault": "hvs." + r(90, an), "huggingface": "hf_" + r(34, an), "tailscale": "tskey-auth-" + r(30, an),
		"supabase": "sbp_" + r(40, hx), "planetscale": "pscale_tkn_" + r(43, an), "rubygems": "rubygems_" + r(48, hx), "sentry": "sntryu_" + r(64, hx),
		"jwt": e([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + e([]byte(`{"sub":"`+r(20, an)+`"}`)) + "." + r(43, an),
		"env": "correct/horse+battery=" + r(12, an), "env with quotes": `pa"ss\wörd & <` + r(8, an),
	}
}

// environment is what of seeds is known by value.
func environment() []secret.Known {
	return []secret.Known{{Class: "env", Value: seeds()["env"]}, {Class: "env", Value: seeds()["env with quotes"]}}
}

func inGzip(b []byte) []byte {
	return written(b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}
func zlibbed(b []byte) []byte {
	return written(b, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}
func brotlied(b []byte) []byte {
	return written(b, func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) })
}
func deflated(b []byte) []byte {
	return written(b, func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z })
}
func zstded(b []byte) []byte {
	return written(b, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z })
}

func written(b []byte, to func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := to(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// traces are the forms in which the checker looks for a secret: written here
// anew, so that one mistake does not hide another.
func traces(s string) []string {
	out := []string{s, url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	if j, err := json.Marshal(s); err == nil {
		out = append(out, string(j[1:len(j)-1]))
	}
	return out
}

// layers is b and all that can be decoded out of it, again and again.
func layers(b []byte, depth int) [][]byte {
	out := [][]byte{b}
	if depth == 0 {
		return out
	}
	var inner [][]byte
	for _, open := range []func(io.Reader) (io.Reader, error){
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	} {
		for at := range b {
			if at+2 < len(b) && !(b[at] == 0x1f && b[at+1] == 0x8b || b[at] == 0x78 && (uint(b[at])<<8|uint(b[at+1]))%31 == 0 || b[at] == 0x28 && b[at+1] == 0xb5) {
				continue
			}
			if r, err := open(bytes.NewReader(b[at:])); err == nil {
				if plain, _ := io.ReadAll(io.LimitReader(r, 1<<20)); len(plain) > 7 {
					inner = append(inner, plain)
				}
			}
		}
	}
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`).FindAll(b, -1) {
		text := strings.NewReplacer("-", "+", "_", "/").Replace(string(run))
		for skip := range 4 {
			if n := (len(text) - skip) / 4 * 4; n > 0 {
				plain, _ := base64.StdEncoding.DecodeString(text[skip : skip+n])
				tail, _ := base64.RawStdEncoding.DecodeString(text[skip+n:])
				plain = append(plain, tail...)
				inner = append(inner, plain)
				if br, _ := io.ReadAll(io.LimitReader(brotli.NewReader(bytes.NewReader(plain)), 1<<20)); len(br) > 7 {
					inner = append(inner, br)
				}
			}
		}
	}
	for _, i := range inner {
		out = append(out, layers(i, depth-1)...)
	}
	return out
}

// unspilled fails for each of secrets that is in a file below dir in any way.
func unspilled(t *testing.T, dir string, secrets map[string][]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, layer := range layers(b, 2) {
			for name, forms := range secrets {
				for _, trace := range forms {
					if i := bytes.Index(layer, []byte(trace)); i >= 0 {
						t.Errorf("%s holds the %s secret: …%q", path, name, layer[max(0, i-60):min(len(layer), i+len(trace)+20)])
						return nil
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A carrier is a way to send a secret.
type carrier struct {
	name string
	ask  func(s string) asked
}

// codings are the ways to compress a body, by what its header says.
func codings() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{"": nil, "gzip": inGzip, "br": brotlied, "zstd": zstded, "deflate": zlibbed, "deflate bare": deflated, "gzip unsaid": inGzip}
}

// writings are the ways to write a secret in a body.
func writings() map[string]func(string) string {
	return map[string]func(string) string{
		"text": func(s string) string { return "it is " + s + "." },
		"json": func(s string) string {
			b, _ := json.Marshal(map[string]string{"a": "b", "v": "it is " + s, "z": "y"})
			return string(b)
		},
		"base64 0": func(s string) string {
			return `{"v":"` + base64.StdEncoding.EncodeToString([]byte("abc:: "+s+" z")) + `"}`
		},
		"base64 1": func(s string) string {
			return `{"v":"` + base64.StdEncoding.EncodeToString([]byte("a:: "+s+" z")) + `"}`
		},
		"base64 2": func(s string) string {
			return `{"v":"` + base64.URLEncoding.EncodeToString([]byte("ab:: "+s+" z")) + `"}`
		},
	}
}

// carriers are all the ways.
func carriers() []carrier {
	all := []carrier{
		{"query", func(s string) asked {
			return asked{req: get("/q?x=1&v=" + url.QueryEscape(s) + "&y=2"), res: ok(), answer: "ok"}
		}},
		{"path", func(s string) asked {
			return asked{req: get("/p/more/" + url.PathEscape(s)), res: ok(), answer: "ok"}
		}},
		{"request field", func(s string) asked { return asked{req: get("/f", "X-Note: see "+s), res: ok(), answer: "ok"} }},
		{"response field", func(s string) asked { return asked{req: get("/r"), res: ok("X-Note: see " + s), answer: "ok"} }},
		{"form", func(s string) asked {
			return asked{req: post("/form", "Content-Type: application/x-www-form-urlencoded"), body: "a=1&v=" + url.QueryEscape(s) + "&b=2", res: ok(), answer: "ok"}
		}},
		{"location", func(s string) asked {
			return asked{req: get("/l"), res: &exchange.Head{Status: 302, Reason: "Found", Version: "1.1", Fields: fields("Location: /to?v=" + url.QueryEscape(s))}}
		}},
		{"raw head", func(s string) asked {
			h := ok("X-Note: see " + s)
			h.Raw = []byte("HTTP/1.1 200  OK\r\nX-Note:   see " + s + "\r\n\r\n")
			return asked{req: get("/raw"), res: h, answer: "ok"}
		}},
	}
	for name, write := range writings() {
		kind := "Content-Type: application/json"
		if name == "text" {
			kind = "Content-Type: text/plain"
		}
		for how, code := range codings() {
			if how != "" && name != "json" && os.Getenv("SERGE_TEST_ALL") == "" {
				continue
			}
			all = append(all, carrier{name + " " + how, func(s string) asked {
				body, lines := write(s), []string{kind}
				if code != nil {
					body = string(code([]byte(body)))
					if coding, unsaid := strings.CutSuffix(how, " unsaid"); !unsaid {
						lines = append(lines, "Content-Encoding: "+strings.Fields(coding)[0])
					}
				}
				return asked{req: post("/echo", lines...), body: body, res: ok(lines...), answer: body}
			}})
		}
	}
	slices.SortFunc(all, func(a, b carrier) int { return strings.Compare(a.name, b.name) })
	return all
}

// TestSecretsNowhere records every kind of secret in every way there is, and looks
// for it in all that is written. Then it is replayed, to whoever has the secrets
// and to whoever has others.
func TestSecretsNowhere(t *testing.T) {
	redact := func(t *testing.T) Redaction {
		set, err := secret.New(secret.Config{Known: environment()})
		if err != nil {
			t.Fatal(err)
		}
		return Redaction{Set: set}
	}
	secrets, forms := seeds(), map[string][]string{}
	for name, value := range secrets {
		forms[name] = traces(value)
	}
	for _, c := range carriers() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, dir := newStore(t)
			var all []asked
			for name, value := range secrets {
				if strings.HasPrefix(name, "env with") && (c.name == "raw head" || strings.HasSuffix(c.name, "field")) {
					continue // no field's value
				}
				a := c.ask(value)
				a.req.Target += map[bool]string{true: "&", false: "?"}[strings.Contains(a.req.Target, "?")] + "n=" + url.QueryEscape(name)
				all = append(all, a)
			}
			recordAll(t, s, "s", RecordOptions{Redact: redact(t)}, all...)
			unspilled(t, dir, forms)
			text := read(t, dir, "s.json")
			if n := strings.Count(text, secretOpen); n < len(all) {
				t.Errorf("%d placeholders for %d secrets", n, len(all))
			}
			p := playerOf(t, load(t, s, "s"), PlayOptions{Redact: redact(t)})
			for _, a := range all {
				got := ask(t, p, a.req, a.body)
				if got.miss != nil {
					t.Errorf("replay misses: %v", got.miss)
					continue
				}
				if len(a.answer) != len(got.body) && !strings.Contains(fmt.Sprint(a.res.Fields), "Encoding") {
					t.Errorf("answered %q; want as many bytes as %q", got.body, a.answer)
				}
			}
		})
	}
}
