package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// neighbour starts a process in the client's namespace that is no part of any
// run, and returns its pid and the first line that it prints. It ends with the
// test, or before, as its standard input does.
func (r *rig) neighbour(argv ...string) (pid int, line string) {
	r.t.Helper()
	cmd := r.net.Command(argv[0], argv[1:]...)
	cmd.Dir = r.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		r.t.Fatalf("%v: %v", argv, err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line)
}

// answering is a program that listens at sys.argv[2] of the family sys.argv[1],
// prints where, answers each client a third of a second later, and ends with
// its standard input.
const answering = `
import socket, sys, threading, time
def serve():
    while True:
        c, _ = s.accept()
        c.recv(9999)
        time.sleep(.3)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nlocal\n")
        c.close()
s = socket.socket(getattr(socket, sys.argv[1]))
host, colon, port = sys.argv[2].rpartition(":")
s.bind((host, int(port)) if colon else sys.argv[2])
s.listen()
print(s.getsockname(), flush=True)
threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
`

// TestResidentDaemon: a daemon of Gradle's that runs before the command does
// works beside us, in the lanes where it can be reached, and the report says so
// and what to do. One in name stands for it, and with SERGE_TEST_ALL a real one does.
func TestResidentDaemon(t *testing.T) {
	r := newRig(t)
	pid, port := r.neighbour("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", built.java, "org.gradle.launcher.daemon.bootstrap.GradleDaemon", "4.4.1")
	script := "curl -sS " + hello + "; exec 3</dev/tcp/127.0.0.1/" + port + "; cat <&3"
	want := fmt.Sprintf("escaped: 127.0.0.1:%s (java, pid %d) is a Gradle daemon that does not belong to the command: what it does for it is not recorded\n"+
		"  run gradle --no-daemon, or set GRADLE_OPTS=-Dorg.gradle.daemon=false", port, pid)
	for _, l := range redirect.Lanes() {
		if l == redirect.Netns {
			continue // it cannot be reached there
		}
		for _, mode := range []string{"record", "replay"} {
			o := r.well(mode, "c", "--backend", l.String(), "--", "bash", "-c", script)
			if !strings.HasSuffix(o.stdout, "built\n") || !strings.Contains(o.stderr, want) {
				t.Errorf("%s by %s prints %q; the report has no %q:\n%s", mode, l, o.stdout, want, o.stderr)
			}
			if mode == "replay" && !strings.Contains(o.stderr, "1 escaped; isolated: no") {
				t.Errorf("%s by %s:\n%s", mode, l, o.stderr)
			}
		}
	}
	if os.Getenv("SERGE_TEST_ALL") != "" { // it takes a minute
		t.Run("real", realGradle)
	}
}

// TestNeighbours names the servers on this host that a replay used; it is
// isolated all the same, but not where containers may have been started.
func TestNeighbours(t *testing.T) {
	r := newRig(t)
	r.neighbour("python3", "-c", answering, "AF_INET", "127.0.0.1:5432")
	r.neighbour("python3", "-c", answering, "AF_UNIX", "plain.sock")
	r.neighbour("python3", "-c", answering, "AF_UNIX", "docker.sock")
	own := "python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 & until curl -sS http://127.0.0.1:8000/ >/dev/null 2>&1; do :; done; "
	r.record("c", "curl", "-sS", hello)
	for _, c := range []struct {
		name, script string
		want, not    []string
	}{
		{"a database", "curl -sS http://127.0.0.1:5432/", []string{"0 escaped; isolated: yes;", "loopback used: 127.0.0.1:5432 (python3)\n"}, nil},
		{"a unix socket", "curl -sS --unix-socket plain.sock http://x/", []string{"0 escaped; isolated: yes;", "loopback used: plain.sock (python3)\n"}, nil},
		{"its own server", own, []string{"0 escaped; isolated: yes;"}, []string{"loopback"}},
		{"containers", "curl -sS --unix-socket docker.sock http://x/", []string{"1 escaped; isolated: no;",
			"escaped: docker.sock (python3, pid ", ") is a Docker daemon that", "\n  containers are outside of the command:"}, []string{"loopback"}},
		{"nobody", "curl -sS http://127.0.0.1:1/ || true", []string{"0 escaped; isolated: yes;"}, []string{"loopback"}},
	} {
		for _, l := range redirect.Lanes() {
			o := r.well("replay", "c", "--backend", l.String(), "--", "bash", "-c", "curl -sS "+hello+"; "+c.script)
			for _, want := range c.want {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("%s by %s: the report has no %q:\n%s", c.name, l, want, o.stderr)
				}
			}
			for _, not := range c.not {
				if strings.Contains(o.stderr, not) {
					t.Errorf("%s by %s: the report has %q:\n%s", c.name, l, not, o.stderr)
				}
			}
		}
	}
}

// TestLocalNetworks diverts what is not loopback, though it is this host: its
// own address, and that of a bridge for containers. --bypass lets it pass.
func TestLocalNetworks(t *testing.T) {
	r := newRig(t)
	if o := r.run("sh", "-ec", "ip link add bridge0 type bridge; ip address add 172.17.0.1/16 dev bridge0; ip link set bridge0 up"); o.code != 0 {
		t.Fatal(o.stderr)
	}
	r.neighbour("python3", "-c", answering, "AF_INET", "0.0.0.0:8080")
	for _, addr := range []string{"192.0.2.2", "172.17.0.1"} {
		url := "http://" + addr + ":8080/"
		for _, l := range redirect.Lanes() {
			name := filepath.Join(l.String(), addr)
			o := r.well("record", name, "--backend", l.String(), "--", "curl", "-sS", url)
			if o.stdout != "local\n" || !strings.Contains(o.stderr, "recorded 1 interaction") || strings.Contains(o.stderr, "loopback") {
				t.Errorf("record %s by %s prints %q:\n%s", url, l, o.stdout, o.stderr)
			}
			o = r.well("replay", name, "--backend", l.String(), "--", "curl", "-sS", url)
			if o.stdout != "local\n" || !strings.Contains(o.stderr, "1 served (1 exact, 0 assumed), 0 missed, 0 unused, 0 escaped; isolated: yes") {
				t.Errorf("replay %s by %s prints %q:\n%s", url, l, o.stdout, o.stderr)
			}
			o = r.well("record", name+"-not", "--backend", l.String(), "--bypass", addr, "--", "curl", "-sS", url)
			if o.stdout != "local\n" || !strings.Contains(o.stderr, "nothing to record") {
				t.Errorf("--bypass %s by %s prints %q:\n%s", addr, l, o.stdout, o.stderr)
			}
		}
	}
}

// TestVsock says that a command has sockets that no lane diverts.
func TestVsock(t *testing.T) {
	r := newRig(t)
	script := "import socket, sys; s = socket.socket(socket.AF_VSOCK); import urllib.request as u; print(u.urlopen(sys.argv[1]).read())"
	if o := r.run("python3", "-c", "import socket; socket.socket(socket.AF_VSOCK)"); o.code != 0 {
		t.Logf("this kernel has no vsock: %s", o.stderr)
		return
	}
	url := "http://" + testnet.WWW + "/slow"
	o := r.serge("record", "c", "--", "python3", "-c", script, url)
	if !strings.Contains(o.stderr, "escaped: the command made a vsock socket") {
		t.Errorf("the report does not say it:\n%s", o.stderr)
	}
}
