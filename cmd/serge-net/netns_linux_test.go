package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestNetnsClients holds the netns lane to what the others are: as an ordinary
// user without any capability, and as root.
func TestNetnsClients(t *testing.T) {
	r := newRig(t)
	few := []string{"curl-h2", "python-urllib", "node-fetch", "java"}
	for _, c := range clients(t) {
		if os.Getenv("SERGE_TEST_ALL") == "" && !slices.Contains(few, c.name) {
			continue
		}
		t.Run(c.name+"/user", func(t *testing.T) { c.holds(r.inAs(t, "netns", nobody)) })
		if os.Getenv("SERGE_TEST_ALL") != "" || c.name == few[0] {
			t.Run(c.name+"/root", func(t *testing.T) { c.holds(r.in(t, "netns")) })
		}
	}
}

// hostServer answers "from the host" on loopback outside of the command, and
// returns its port.
func (r *rig) hostServer() string {
	r.t.Helper()
	var l net.Listener
	var err error
	r.net.Enter(func() { l, err = net.Listen("tcp4", "127.0.0.1:0") })
	if err != nil {
		r.t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "from the host") })}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	r.t.Cleanup(func() { s.Close(); <-done })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// inner is a server of the command's own on a port of loopback, which "end" stops.
const inner = `python3 -c '
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
  def log_message(self, *a): pass
  def do_GET(self):
    self.send_response(200); self.end_headers(); self.wfile.write(b"from within\n")
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), H).serve_forever()' `

// TestNetnsHostPort reaches a server on the host's loopback while nobody listens
// inside, and never a build daemon's.
func TestNetnsHostPort(t *testing.T) {
	root := newRig(t)
	r := root.inAs(t, "netns", nobody)
	port := r.hostServer()
	curl := "curl -sS --retry 20 --retry-connrefused --retry-delay 0 --retry-max-time 5 http://127.0.0.1:" + port
	one := strings.ReplaceAll(curl, "--retry 20", "--retry 0")
	for _, c := range []struct {
		name   string
		flags  []string
		script string
		out    string
		said   string
	}{
		{"auto", nil, one, "from the host\n", "127.0.0.1:" + port},
		{"listed", []string{"--host-port", port}, one, "from the host\n", "127.0.0.1:" + port},
		{"none", []string{"--host-port", "none"}, one + " || echo $?", "7\n", "passed through"},
		{"another", []string{"--host-port", "9"}, one + " || echo $?", "7\n", "passed through"},
		{"nobody listens", nil, "curl -sS http://127.0.0.1:9 || echo $?", "7\n", "passed through"},
		{"by a server of its own", []string{"--publish", "none"}, inner + "127.0.0.1 " + port + " & until " + one + " | grep within; do :; done; kill $!; wait $!; " + curl,
			"from within\nfrom the host\n", "127.0.0.1:" + port},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			o := r.well(append(append([]string{"run", "--mode", "passthrough"}, c.flags...), "--", "bash", "-c", c.script)...)
			if !strings.HasSuffix(o.stdout, c.out) || !strings.Contains(o.stderr, c.said) {
				t.Errorf("it prints %q; want %q\n%s\nand has no %q", o.stdout, c.out, o.stderr, c.said)
			}
		})
	}
}

// TestNetnsResident keeps the command from a daemon that was there before.
func TestNetnsResident(t *testing.T) {
	r := newRig(t).in(t, "netns")
	daemon := r.net.Command("sh", "-c", "exec "+inner+"127.0.0.1 8099 org.gradle.launcher.daemon.bootstrap.GradleDaemon")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer daemon.Wait()
	defer daemon.Process.Kill()
	curl := "curl -sS --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 10 http://127.0.0.1:8099"
	if o := r.run("sh", "-c", curl); o.stdout != "from within\n" {
		t.Fatalf("without us: %q\n%s", o.stdout, o.stderr)
	}
	if o := r.well("run", "--mode", "passthrough", "--", "sh", "-c", "curl -sS http://127.0.0.1:8099 || echo $?"); o.stdout != "7\n" {
		t.Errorf("it prints %q; want no connection\n%s", o.stdout, o.stderr)
	}
}

// TestNetnsPublish reaches servers of the command from the host.
func TestNetnsPublish(t *testing.T) {
	root := newRig(t)
	for _, c := range []struct {
		name, flag, listen, dial string
		reached                  bool
	}{
		{"auto", "auto", "127.0.0.1 8081", "127.0.0.1:8081", true},
		{"all addresses", "auto", "0.0.0.0 8082", "[::1]:8082", true},
		{"a pair", "9091:8083", "127.0.0.1 8083", "127.0.0.1:9091", true},
		{"none", "none", "127.0.0.1 8084", "127.0.0.1:8084", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := root.inAs(t, "netns", nobody)
			// The command ends when it was asked, or the other end of its input is closed.
			stdin, hold := io.Pipe()
			var o outcome
			done := make(chan struct{})
			go func() {
				defer close(done)
				o = r.reading(stdin, nil, append(slices.Clone(r.enter), built.serge, "run", "--backend", "netns", "--mode", "passthrough", "--publish", c.flag, "--",
					"bash", "-c", inner+c.listen+" & read; kill $!; wait $!; true")...)
			}()
			got := r.run("curl", "-sS", "-g", "--retry", "30", "--retry-connrefused", "--retry-delay", "0", "--retry-max-time", "2", "http://"+c.dial)
			hold.Close()
			<-done
			if (got.stdout == "from within\n") != c.reached || o.code != 0 {
				t.Errorf("the host gets %q; want an answer: %v\n%s\n%s", got.stdout, c.reached, got.stderr, o.stderr)
			}
		})
	}
}

// TestNetnsCommand holds what a command sees of itself in the lane: who it is,
// that names have both families, that no port is another's, and who called.
func TestNetnsCommand(t *testing.T) {
	root := newRig(t)
	python := `python3 -c '
import socket
print(sorted({a[0].name for a in socket.getaddrinfo("` + testnet.WWW + `", 443, 0, 0, 0, socket.AI_ADDRCONFIG)}))
for p in (53, 80): socket.create_server(("127.0.0.1", p))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(("0.0.0.0", 53))
print("bound")'; `
	for _, c := range []struct {
		name, script, want string
		user               bool
	}{
		{"user", python + "id -u; grep CapEff /proc/self/status; touch f; stat -c %u f", "['AF_INET', 'AF_INET6']\nbound\n65534\nCapEff:\t0000000000000000\n65534\n", true},
		{"root", python + "touch f; chown 1500 f; stat -c %u f; setpriv --reuid 1500 id -u", "['AF_INET', 'AF_INET6']\nbound\n1500\n1500\n", false},
		{"dns", "dig +short +notcp " + testnet.WWW + " @8.8.8.8; dig +short +tcp " + testnet.V6Only + " AAAA @2001:db8::1", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := root.in(t, "netns")
			if c.user {
				r = root.inAs(t, "netns", nobody)
			}
			o := r.well("run", "--mode", "passthrough", "--dns", "real", "-v", "--", "bash", "-ec", c.script+"; curl -sS http://"+testnet.WWW+"/hello")
			www, six := testnet.Lookup(testnet.WWW), testnet.Lookup(testnet.V6Only)
			if c.want == "" {
				c.want = www.V4.String() + "\n" + six.V6.String() + "\n"
			}
			if want := c.want + "hello from " + testnet.WWW + "\n"; o.stdout != want {
				t.Errorf("it prints %q; want %q", o.stdout, want)
			}
			if !strings.Contains(o.stderr, "connection: curl (pid ") {
				t.Errorf("it does not say that curl connected:\n%s", o.stderr)
			}
		})
	}
}

// TestNetnsHermetic has a command try to get out by every socket that there is,
// replaying and recording: nothing but what we connect leaves.
func TestNetnsHermetic(t *testing.T) {
	root := newRig(t)
	for _, c := range []struct {
		name string
		rig  func(t *testing.T) *rig
	}{
		{"user", func(t *testing.T) *rig { return root.inAs(t, "netns", nobody) }},
		{"root", func(t *testing.T) *rig { return root.in(t, "netns") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.rig(t)
			r.record("c", "curl", "-sS", "http://"+testnet.WWW+"/hello")
			hits, capture := r.net.HitCount(), r.net.Capture()
			for _, args := range [][]string{{"replay", "c", "--"}, {"record", "d", "--hermetic", "--bypass", "10.0.0.0/8", "--"}} {
				which := ""
				if args[0] == "record" {
					which = "udp"
				}
				o := r.serge(append(args, r.hostile(which)...)...)
				if took := strings.Count(o.stdout, " took "); took > 0 || !strings.Contains(o.stdout, "operation not permitted") {
					t.Errorf("%d attempts took their time:\n%s", took, o.stdout)
				}
				for _, want := range []string{"escaped: UDP to 203.0.113.10:7 refused", "escaped: UDP to [2001:db8:113::10]:7 refused"} {
					if !strings.Contains(o.stderr, want) {
						t.Errorf("the report has no %q:\n%s", want, o.stderr)
					}
				}
			}
			if p := capture.Packets(); len(p) != 0 {
				t.Errorf("%d packets left, the first %v", len(p), p[0])
			}
			if n := r.net.HitCount() - hits; n != 0 {
				t.Errorf("the origin was reached %d times", n)
			}
		})
	}
}

// TestNetnsEnds kills each of the processes of a run that has no cgroup, and
// ends it by signals: no process is left.
func TestNetnsEnds(t *testing.T) {
	root := newRig(t)
	for _, c := range []struct {
		name   string
		who    func(serge, init, command int) []int
		signal unix.Signal
	}{
		{"kill serge-net", func(serge, _, _ int) []int { return []int{serge} }, unix.SIGKILL},
		{"kill init", func(_, init, _ int) []int { return []int{init} }, unix.SIGKILL},
		{"kill the command", func(_, _, command int) []int { return []int{command} }, unix.SIGKILL},
		{"terminate serge-net", func(serge, _, _ int) []int { return []int{serge} }, unix.SIGTERM},
		{"Ctrl-C", func(serge, _, _ int) []int { return []int{-serge} }, unix.SIGINT},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := root.inAs(t, "netns", nobody)
			cmd := r.net.Command(r.enter[0], append(slices.Clone(r.enter[1:]), built.serge, "record", "c", "--backend", "netns", "--", "sh", "-c", lingering)...)
			cmd.Dir = r.dir
			cmd.Env = append(cmd.Env, "CI=", "HOME="+r.dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "ready" {
			}
			l := &life{rig: r, alive: map[int]int{}}
			serge := cmd.Process.Pid
			init := childOf(t, serge)
			command := childOf(t, init)
			for _, pid := range []int{serge, init, command, childOf(t, command)} {
				l.watch(strconv.Itoa(pid))
			}
			for _, pid := range c.who(serge, init, command) {
				unix.Kill(pid, c.signal)
			}
			for pid, fd := range l.alive {
				if pid == serge {
					continue // ours to wait for
				}
				if !ends(fd) {
					t.Errorf("process %d is left", pid)
				}
			}
			cmd.Wait()
			if o := r.well("replay", "c", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello"); o.stdout != "hello from www.test.example\n" {
				t.Errorf("what was recorded replays as %q\n%s", o.stdout, o.stderr)
			}
		})
	}
}
