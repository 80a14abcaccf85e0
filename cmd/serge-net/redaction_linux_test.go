package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// spillForms are the forms in which watchers look for a secret.
func spillForms(secret string) []string {
	forms := []string{secret, url.QueryEscape(secret), fmt.Sprintf("%x", secret)}
	for pad := range 3 {
		b := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", pad) + secret))
		forms = append(forms, b[(pad*8+5)/6:len(b)-1])
	}
	return forms
}

// spills says in which file below dirs the secret is, "" if in none. Files come
// and go while it looks.
func spills(secret string, dirs ...string) (where string) {
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			all := [][]byte{b}
			for at := 0; ; at++ {
				n := bytes.Index(b[at:], []byte("\x1f\x8b\x08"))
				if n < 0 {
					break
				}
				at += n
				if z, err := gzip.NewReader(bytes.NewReader(b[at:])); err == nil {
					plain, _ := io.ReadAll(z)
					all = append(all, plain)
				}
			}
			for _, layer := range all {
				for _, form := range spillForms(secret) {
					if bytes.Contains(layer, []byte(form)) {
						where = path + " as " + form
						return fs.SkipAll
					}
				}
			}
			return nil
		})
		if where != "" {
			return where
		}
	}
	return ""
}

// watched looks for the secret below dirs, again and again until stop is called,
// which returns where it was.
func watched(secret string, dirs ...string) (stop func() string) {
	var where string
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		for where == "" {
			select {
			case <-done:
				return
			default:
				where = spills(secret, dirs...)
			}
		}
	})
	return func() string {
		close(done)
		watching.Wait()
		return where
	}
}

// TestRedaction has clients send a secret of their environment in every way they
// can, watches what is written while they do and after it, and replays it to
// clients with that secret, with another, and to each other run.
func TestRedaction(t *testing.T) {
	r := newRig(t)
	clients, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + testnet.WWW
	const secret = "tok+Zq81/wLmN03=vbXk"
	for name, argv := range map[string][]string{
		"python": {"python3", clients + "/secrets_client.py", base},
		"socket": {debianPython, clients + "/secrets_socket.py", "ws://" + testnet.WWW + "/ws"},
		"node":   {"node", clients + "/secrets_client.mjs", base},
		"curl": {"sh", "-c", `curl -sS -H "X-Note: $API_TOKEN" -d "{\"password\":\"$API_TOKEN\"}" -H "Content-Type: application/json" ` + base + `/echo | wc -c
			curl -sS -G --data-urlencode "q=$API_TOKEN" ` + base + `/hello; printf %s "$API_TOKEN" | base64 | curl -sS -H Content-Type:text/plain --data-binary @- ` + base + `/echo | wc -c`},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			temp := filepath.Join(r.dir, "tmp")
			if err := os.Mkdir(temp, 0o755); err != nil {
				t.Fatal(err)
			}
			run := func(token, mode string) outcome {
				env := []string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "API_TOKEN=" + token, "TMPDIR=" + temp}
				return r.runWith(env, "", append([]string{built.serge, mode, "s", "--"}, argv...)...)
			}
			stop := watched(secret, r.dir)
			recorded := run(secret, "record")
			if where := stop(); where != "" {
				t.Errorf("while recording the secret is in %s", where)
			}
			if recorded.code != 0 || strings.Contains(recorded.stdout, "alse") || !strings.Contains(recorded.stderr, "replaced by placeholders") {
				t.Fatalf("record: exit code %d\n%s%s", recorded.code, recorded.stdout, recorded.stderr)
			}
			if where := spills(secret, r.dir); where != "" {
				t.Errorf("the secret is in %s", where)
			}
			for _, token := range []string{secret, "other/secret+of=20ch"} {
				if o := run(token, "replay"); o.code != 0 || o.stdout != recorded.stdout {
					t.Errorf("replay with %s: exit code %d, %q; want %q\n%s", token, o.code, o.stdout, recorded.stdout, o.stderr)
				}
			}
		})
	}
}

// TestRedactionRefused keeps nothing of a recording in which a value of the
// environment would be where no placeholder can stand, and all with redaction off.
func TestRedactionRefused(t *testing.T) {
	r := newRig(t)
	const secret = "sesame-open-12345"
	env := []string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "API_TOKEN=" + secret}
	argv := []string{"--", "curl", "-sS", "-H", "X-" + secret + ": 1", "http://" + testnet.WWW + "/hello"}
	o := r.runWith(env, "", append([]string{built.serge, "record", "s"}, argv...)...)
	if o.code != 96 || !strings.Contains(o.stderr, "a secret of the environment is still in it") || strings.Contains(o.stderr, secret) {
		t.Errorf("exit code %d; want 96 and why\n%s", o.code, o.stderr)
	}
	if where := spills(secret, r.dir); where != "" {
		t.Errorf("the secret is in %s", where)
	}
	o = r.runWith(env, "", append([]string{built.serge, "record", "s", "--redact", "off"}, argv...)...)
	if o.code != 0 || !strings.Contains(o.stderr, "redaction is off") || spills(secret, r.dir) == "" {
		t.Errorf("with --redact off: exit code %d\n%s", o.code, o.stderr)
	}
}
