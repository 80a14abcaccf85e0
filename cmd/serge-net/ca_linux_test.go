package main

import (
	"os"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// caScript has, in a mount namespace with copies of all that Debian's
// update-ca-certificates and its hooks write, the CA of a proxy installed, a
// client that knows of no CA use the proxy, and the CA uninstalled. With hooks,
// Java's keystore too, which is compared by what is in it: Debian's hook writes it
// anew, in an order of its own.
const caScript = `set -eu
serge=$1 url=$2 dir=$3 hooks=$4
mkdir "$dir/private"
mount -t tmpfs none "$dir/private"
for d in /etc/ssl /etc/ca-certificates /usr/local/share/ca-certificates ${hooks:+/var/lib/dpkg /var/lib/ca-certificates-java /var/log}; do
	[ -d $d ] || continue
	mkdir -p "$dir/private$d"
	cp -a $d/. "$dir/private$d"
	mount --bind "$dir/private$d" $d
done
[ -n "$hooks" ] || mount -t tmpfs none /etc/ca-certificates/update.d
look() {
	(cd /etc/ssl && find . -type f ! -path ./certs/java/cacerts -exec sha256sum {} + && find . -type l -printf '%p -> %l\n' | sort)
	ls -lR --time-style=+ /etc/ca-certificates /usr/local/share/ca-certificates
	[ -z "$hooks" ] || keytool -list -keystore /etc/ssl/certs/java/cacerts -storepass changeit 2>/dev/null | sort
}
update-ca-certificates >/dev/null 2>&1 # the machine's own certificates may have come without it
look >"$dir/before"
"$serge" ca install
"$serge" ca show | grep ^trusted
"$serge" proxy --listen 127.0.0.1:18443 --cassette c 2>"$dir/said" &
until grep -q 'by proxy on' "$dir/said"; do kill -0 $! ; sleep 0.05; done
curl -sS -x http://127.0.0.1:18443 "$url"
kill -TERM $!
wait $!
look >"$dir/during"
! cmp -s "$dir/before" "$dir/during"
"$serge" ca uninstall
"$serge" ca uninstall
look | diff "$dir/before" -
`

// TestCAInstalled: a CA is installed as Debian has it, is trusted by what knows
// nothing of us, and leaves no trace when it is uninstalled.
func TestCAInstalled(t *testing.T) {
	r := newRig(t)
	before := list(t, "/etc/ssl/certs", "/usr/local/share/ca-certificates")
	env := []string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "XDG_DATA_HOME=" + r.dir + "/data"}
	o := r.runWith(env, "", "sh", "-c", caScript, "ca", built.serge, "https://"+testnet.WWW+"/hello", r.dir, os.Getenv("SERGE_TEST_ALL"))
	for _, want := range []string{
		"Debian's CA certificates trusts serge-net proxy ",
		"trusted      yes, by Debian's CA certificates (/usr/local/share/ca-certificates/serge-net-",
		"hello from " + testnet.WWW + "\n",
		"Debian's CA certificates does not trust serge-net proxy ",
		"does not hold it: nothing to do\n",
	} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q", want)
		}
	}
	if o.code != 0 || t.Failed() {
		t.Errorf("exit code %d\n%s\n%s", o.code, o.stdout, o.stderr)
	}
	if after := list(t, "/etc/ssl/certs", "/usr/local/share/ca-certificates"); after != before {
		t.Errorf("the machine's own were\n%s\nand are\n%s", before, after)
	}
}

// list is the files of dirs, with their times.
func list(t *testing.T, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(e.Name() + " " + info.ModTime().String() + "\n")
		}
	}
	return b.String()
}

// TestCACommands: the CA is made when it is needed, is its user's alone, and what
// cannot be done says what can.
func TestCACommands(t *testing.T) {
	r := newRig(t)
	dir := r.caDir()
	for _, c := range []struct {
		args     []string
		before   string // a shell command
		code     int
		out, err string
	}{
		{args: []string{"show"}, code: exitStart, err: "no CA is kept in " + dir},
		{args: []string{"uninstall"}, code: exitStart, err: "no CA is kept in " + dir},
		{args: []string{"export"}, out: "-----BEGIN CERTIFICATE-----\n"},
		{args: []string{"path"}, out: dir + "/ca.pem\n"},
		{args: []string{"show"}, out: "key          " + dir + "/ca-key.pem\n"},
		{args: []string{"export"}, before: "chmod 644 ca/ca-key.pem", code: exitStart, err: "hint: if nobody has read it: chmod 600 " + dir + "/ca-key.pem"},
		{args: []string{"export"}, before: "chmod 600 ca/ca-key.pem && rm ca/ca.pem", out: "-----BEGIN CERTIFICATE-----\n"},
		{args: []string{"show"}, before: "echo mangled > ca/ca-key.pem", code: exitStart, err: "it does not hold a certificate and its key"},
		{args: []string{"shw"}, code: exitStart, err: `unknown command "shw"`},
	} {
		if c.before != "" {
			if o := r.run("sh", "-c", c.before); o.code != 0 {
				t.Fatal(o.stderr)
			}
		}
		o := r.runWith([]string{"SERGE_CA_DIR=" + dir}, "", append([]string{built.serge, "ca"}, c.args...)...)
		if o.code != c.code || !strings.Contains(o.stdout, c.out) || !strings.Contains(o.stderr, c.err) {
			t.Errorf("ca %v after %q: exit code %d\n%s%s", c.args, c.before, o.code, o.stdout, o.stderr)
		}
	}
	ordinary := r.run("sh", "-c", `d=$(mktemp -d) && chown 65534 $d && cd $d && setpriv --reuid 65534 --regid 65534 --clear-groups "$1" ca install --ca-dir $d; rm -r $d`, "sh", built.serge)
	if !strings.Contains(ordinary.stderr, "hint: sudo "+built.serge+" ca install --ca-dir /tmp/") {
		t.Errorf("an ordinary user is told:\n%s", ordinary.stderr)
	}
}
