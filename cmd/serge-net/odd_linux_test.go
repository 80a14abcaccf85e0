package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOddForms holds the raw stream: what a client receives of each unusual form
// is the same direct, recorded and replayed, byte for byte, and so is how the
// connection ends.
func TestOddForms(t *testing.T) {
	r := newRig(t)
	for _, how := range []string{"plain", "tls"} {
		for _, form := range testnet.OddForms() {
			t.Run(how+"/"+form.Name, func(t *testing.T) {
				r := &rig{t: t, net: r.net, dir: t.TempDir()}
				r.odd(how, form)
			})
		}
	}
}

// odd runs one form.
func (r *rig) odd(how string, form testnet.Odd) {
	r.t.Helper()
	port := map[string]string{"plain": "80", "tls": "443"}[how]
	argv := []string{built.rawget, how, testnet.OddHost + ":" + port, strconv.Itoa(len(form.Request)), strconv.Quote(form.Interim)}
	stdin := form.Request + form.Body
	env := []string{"SSL_CERT_FILE=" + r.net.CAFile}
	direct := r.runWith(env, stdin, argv...)
	ask := func(mode string) outcome {
		args := append([]string{built.serge, mode, "odd", "--shift-dates", "off", "--"}, argv...)
		return r.runWith([]string{"SERGE_UPSTREAM_CA=" + r.net.CAFile}, stdin, args...)
	}
	recorded := ask("record")
	if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" || recorded.code != 0 {
		r.t.Errorf("recorded, exit code %d (-direct +recorded):\n%s\n%s", recorded.code, d, recorded.stderr)
	}
	hits := r.net.HitCount()
	replayed := ask("replay")
	if d := cmp.Diff(direct.stdout, replayed.stdout); d != "" || replayed.code != 0 {
		r.t.Errorf("replayed, exit code %d (-direct +replayed):\n%s\n%s", replayed.code, d, replayed.stderr)
	}
	if n := r.net.HitCount() - hits; n != 0 {
		r.t.Error(fmt.Sprintf("the origin was asked %d times in a replay", n))
	}
}
