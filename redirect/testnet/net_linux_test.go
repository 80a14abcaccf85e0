package testnet

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCommand runs curl against each host and protocol.
func TestCommand(t *testing.T) {
	began := time.Now()
	n := New(t)
	t.Logf("New took %v", time.Since(began))
	for _, c := range []struct {
		args string
		want string // of stdout, "exit N" for an exit code
	}{
		{"http://www.test.example/hello", "hello from www.test.example\n"},
		{"-4 https://www.test.example/hello", "hello from www.test.example\n"},
		{"-6 https://www.test.example/hello", "hello from www.test.example\n"},
		{"https://203.0.113.10/hello", "hello from www.test.example\n"},
		{"https://[2001:db8:113::10]/hello", "hello from www.test.example\n"},
		{"https://alias.test.example/protocol", "HTTP/1.1\n"},
		{"http://many.test.example/hello", "hello from www.test.example\n"},
		{"https://h2.test.example/protocol", "HTTP/2.0\n"},
		{"--http1.1 https://h2.test.example/protocol", "HTTP/1.1\n"},
		{"--http2-prior-knowledge http://h2.test.example/protocol", "HTTP/2.0\n"},
		{"http://v4only.test.example/hello", "hello from v4only.test.example\n"},
		{"http://v6only.test.example/hello", "hello from v6only.test.example\n"},
		{"http://intranet/hello", "hello from intranet.search.test.example\n"},
		{"https://tls12.test.example/hello", "hello from tls12.test.example\n"},
		{"--tlsv1.3 https://tls12.test.example/hello", "exit 35"},
		{"http://nginx.test.example/hello.txt", "hello from nginx.test.example\n"},
		{"https://nginx.test.example/fast/hello.txt", "hello from nginx.test.example\n"},
		{"-6 -w %{http_version} https://nginx.test.example/data.json", JSON + "2"},
		{"https://selfsigned.test.example/hello", "exit 60"},
		{"https://expired.test.example/hello", "exit 60"},
		{"https://wrongname.test.example/hello", "exit 60"},
		{"http://refused.test.example/", "exit 7"},
		{"http://unroutable.test.example/", "exit 7"},
		{"--connect-timeout 0.3 http://silent.test.example/", "exit 28"},
		{"http://missing.test.example/", "exit 6"},
	} {
		cmd := n.Command("curl", append([]string{"-sS", "--cacert", n.CAFile}, strings.Fields(c.args)...)...)
		out, err := cmd.Output()
		got := string(out)
		if err != nil {
			got = strings.ReplaceAll(err.Error(), " status", "")
		}
		if got != c.want {
			t.Errorf("curl %s printed %q; want %q", c.args, got, c.want)
		}
	}
	if got := n.Hits()["www.test.example/hello"]; got != 6 {
		t.Errorf("Hits()[www.test.example/hello] = %d; want 6", got)
	}
	if got := n.Hits()["nginx.test.example/hello.txt"]; got != 1 {
		t.Errorf("Hits()[nginx.test.example/hello.txt] = %d; want 1", got)
	}
}

// TestCommandSeesTheHost checks that the cgroups, their mounts and the
// directory are as outside, and that no proxy is named.
func TestCommandSeesTheHost(t *testing.T) {
	n := New(t)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	const script = `cat /proc/self/cgroup; readlink /proc/self/ns/cgroup; grep cgroup /proc/self/mounts; pwd; echo "$HTTPS_PROXY"`
	outside, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	inside, err := n.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(outside), "http://127.0.0.1:1", "")
	if diff := cmp.Diff(want, string(inside)); diff != "" {
		t.Errorf("inside differs from outside (-want +got):\n%s", diff)
	}
}

// TestCommandAsNobody checks that another user can resolve, connect and read the CA's file.
func TestCommandAsNobody(t *testing.T) {
	n := New(t)
	out, err := n.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"curl", "-sS", "--cacert", n.CAFile, "https://"+H2+"/hello").CombinedOutput()
	if want := "hello from " + H2 + "\n"; string(out) != want || err != nil {
		t.Errorf("curl as nobody: %q, %v; want %q", out, err, want)
	}
}

// TestListen runs a server of the test's own.
func TestListen(t *testing.T) {
	n := New(t)
	l, err := n.Listen("tcp", net.JoinHostPort(Lookup(TCP).V6.String(), "4000"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := n.Dial(t.Context(), "tcp6", TCP+":4000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got, want := accepted.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("accepted from %s; want %s", got, want)
	}
}

// TestGone takes the network away and brings it back.
func TestGone(t *testing.T) {
	n := New(t)
	curl := func() error {
		return n.Command("curl", "-sS", "--connect-timeout", "2", "http://203.0.113.10/hello", "http://[2001:db8:113::10]/hello").Run()
	}
	if err := curl(); err != nil {
		t.Errorf("before Gone: %v", err)
	}
	n.Gone()
	if err := curl(); err == nil {
		t.Error("curl reached the origin after Gone")
	}
	n.Enter(func() {
		is, err := net.Interfaces()
		if err != nil {
			t.Error(err)
		}
		for _, i := range is {
			if up := i.Flags&net.FlagUp != 0; up != (i.Name == "lo") {
				t.Errorf("interface %s is up: %v", i.Name, up)
			}
		}
	})
	n.Back()
	if err := curl(); err != nil {
		t.Errorf("after Back: %v", err)
	}
}
