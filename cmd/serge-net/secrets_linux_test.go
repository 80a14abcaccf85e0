package main

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// secrets are what the tests send, by where. None may reach the disk.
func secrets() map[string]string {
	return map[string]string{
		"bearer":     "bearer-0f1e2d3c4b5a6978",
		"cookie":     "cookie-1029384756afbecd",
		"api key":    "apikey-qazwsxedcrfvtgby",
		"proxy auth": "ada:proxy-plmoknijbuhv",
		"basic auth": "eva:basic-zaqxswcdevfr",
		"session":    strings.TrimPrefix(testnet.Session, "session="),
	}
}

// spending is curl with all of them, to a path that sets the session cookie too.
func spending() []string {
	s := secrets()
	base := "http://" + testnet.WWW
	first := []string{"curl", "-sS", "-b", "id=" + s["cookie"], "-H", "X-Api-Key: " + s["api key"], base + "/login"}
	return append(first, "--next", "-sS", "-H", "Authorization: Bearer "+s["bearer"],
		"-H", "Proxy-Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(s["proxy auth"])), base+"/hello",
		"--next", "-sS", "-u", s["basic auth"], base+"/json")
}

// unspilled fails for each secret that a file below dir has, as it is or encoded
// in one of the usual ways.
func unspilled(t *testing.T, dir string) {
	t.Helper()
	files := tree(t, dir)
	if len(files) == 0 {
		t.Errorf("no file in %s to look at", dir)
	}
	for where, secret := range secrets() {
		forms := []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))}
		for name, b := range files {
			for _, form := range forms {
				if bytes.Contains(b, []byte(form)) {
					t.Errorf("%s holds the %s: %s", name, where, form)
				}
			}
		}
	}
}

// TestSecretsStayOut looks for secrets in everything that is written, while
// recording, after it, and after serge-net was killed.
func TestSecretsStayOut(t *testing.T) {
	r := newRig(t)
	script := shellWords(spending()) + " >got; touch ready; until [ -e done ]; do sleep 0.02; done"
	cassettes := filepath.Join(r.dir, "cassettes")
	first, said := r.started(t, "record", "s", "--", "sh", "-c", script)
	if journal := tree(t, cassettes)[".s.journal"]; !bytes.Contains(journal, []byte("{{secret:")) {
		t.Errorf("the journal of %d bytes has no placeholder", len(journal))
	}
	unspilled(t, cassettes)
	write(t, filepath.Join(r.dir, "done"), "")
	if err := first.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	unspilled(t, cassettes)

	killed := &rig{t: t, net: r.net, dir: t.TempDir()}
	p, _ := killed.started(t, "record", "s", "--", "sh", "-c", script)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // killed
	unspilled(t, killed.dir+"/cassettes")
}

// TestSecretsMatch replays with the secrets of the recording and with others.
func TestSecretsMatch(t *testing.T) {
	r := newRig(t)
	recorded := r.record("s", spending()...).stdout
	others := spending()
	for i, arg := range others {
		others[i] = strings.NewReplacer("-0f1e", "-ffff", "-1029", "-ffff", "-qaz", "-fff", "-zaq", "-fff").Replace(arg)
	}
	for name, argv := range map[string][]string{"the same": spending(), "others": others} {
		if got := r.replay("s", argv...).stdout; got != recorded {
			t.Errorf("with %s secrets the replay gives %q; want %q", name, got, recorded)
		}
	}
}

// TestTokens gives each of two users their own answer, and says so where it
// cannot know which is whose.
func TestTokens(t *testing.T) {
	r := newRig(t)
	tokens := slices.Sorted(maps.Keys(testnet.Tokens()))[:2]
	me := func(tokens ...string) []string {
		var argv []string
		for _, token := range tokens {
			argv = append(argv, "--next", "-sS", "-H", "Authorization: Bearer "+token, "http://"+testnet.WWW+"/me")
		}
		return append([]string{"curl"}, argv[1:]...)
	}
	both := me(tokens[0], tokens[1], tokens[0])
	recorded := r.record("me", both...).stdout
	if got := r.replay("me", both...).stdout; got != recorded {
		t.Errorf("replayed %q; want %q", got, recorded)
	}
	o := r.replay("me", me(tokens[1], tokens[0], tokens[1])...)
	if o.stdout != recorded {
		t.Errorf("in another order it replays %q; want the recorded order, %q", o.stdout, recorded)
	}
	for _, want := range []string{
		"3 served (1 exact, 2 assumed), 0 missed",
		"assumed: GET http://" + testnet.WWW + "/me  took the request's own secret for secret:auth#1\n",
		"assumed: GET http://" + testnet.WWW + "/me  took the request's own secret for secret:auth#2\n",
		"are not told apart\n",
	} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no %q in\n%s", want, o.stderr)
		}
	}
	if o := r.serge(append([]string{"replay", "me", "--"}, me(tokens[0], tokens[1], "a-third")...)...); o.code != 97 || !strings.Contains(o.stderr, "other credentials") {
		t.Errorf("with a third token: exit code %d; want 97 and why\n%s", o.code, o.stderr)
	}
}

// TestSession logs in with curl's cookie jar, which in a replay holds what the
// replay gave it.
func TestSession(t *testing.T) {
	r := newRig(t)
	argv := []string{"curl", "-sS", "-c", "jar", "-b", "jar", "http://" + testnet.WWW + "/login", "http://" + testnet.WWW + "/cookie"}
	recorded := r.record("in", argv...).stdout
	write(t, filepath.Join(r.dir, "jar"), "")
	replayed := r.replay("in", argv...)
	if replayed.stdout != recorded {
		t.Errorf("replayed %q; want %q", replayed.stdout, recorded)
	}
	jar := string(tree(t, r.dir)["jar"])
	if !strings.Contains(jar, "session") || strings.Contains(jar, secrets()["session"]) {
		t.Errorf("the replay left in the jar\n%s", jar)
	}
}
