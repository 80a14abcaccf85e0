package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestAttachPID records a process that runs already, lets it go, and replays to
// it: it never fails.
func TestAttachPID(t *testing.T) {
	r := newRig(t)
	d := r.loop("")
	pid, home := d.cmd.Process.Pid, livesIn(t, d.cmd.Process.Pid)
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	a := r.attach("--pid", strconv.Itoa(pid))
	d.until("ours 200", "failed")
	d.until("ours 200", "")
	text := a.end(unix.SIGINT, 0)
	tells(t, text, "record c by ebpf, attached to process "+strconv.Itoa(pid), "the target is shown the CA", "recorded ")
	d.until("direct 200", "failed")
	if got := livesIn(t, pid); got != home {
		t.Errorf("it lives in %s; want %s", got, home)
	}
	if after, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid)); !bytes.Equal(after, mounts) {
		t.Errorf("its mounts were\n%s\nand are\n%s", mounts, after)
	}
	if r.recorded() == 0 {
		t.Error("nothing is recorded")
	}
	hits := r.net.HitCount()
	a = r.attach("--pid", strconv.Itoa(pid), "--mode", "replay")
	d.until("ours 200", "failed")
	before := r.net.HitCount()
	d.until("ours 200", "failed")
	if after := r.net.HitCount(); after != before {
		t.Errorf("%d requests reached the origin in a replay", after-before)
	}
	tells(t, a.end(unix.SIGTERM, 0), "replay c", "nothing but loopback leaves it", "0 missed", "isolated: yes")
	d.until("direct 200", "failed")
	if r.net.HitCount() == hits {
		t.Error("it does not reach the origin after all")
	}
}

// TestAttachKilled kills serge-net: the process goes on as it was.
func TestAttachKilled(t *testing.T) {
	r := newRig(t)
	d := r.loop("")
	pid, home := d.cmd.Process.Pid, livesIn(t, d.cmd.Process.Pid)
	a := r.attach("--pid", strconv.Itoa(pid))
	d.until("ours 200", "")
	a.end(unix.SIGKILL, -1)
	d.until("direct 200", "") // what was under way is reset
	d.until("direct 200", "failed")
	for end := time.Now().Add(5 * time.Second); livesIn(t, pid) != home && time.Now().Before(end); {
		d.until("direct 200", "failed")
	}
	if got := livesIn(t, pid); got != home {
		t.Errorf("it lives in %s; want %s", got, home)
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid)); bytes.Contains(b, []byte("serge-net")) {
		t.Errorf("mounts are left:\n%s", b)
	}
}

// TestAttachUnit attaches to what has the name of a unit, by three names of it.
func TestAttachUnit(t *testing.T) {
	r := newRig(t)
	name := fmt.Sprintf("attach-test-%d-app", os.Getpid())
	dir := testCgroup(t, "system.slice/"+name+".service")
	d := r.loop(dir)
	rel, _ := filepath.Rel(cgroupMount(t), dir)
	for _, args := range [][]string{{"--unit", name}, {"--unit", name + ".service"}, {"--cgroup", dir}, {"--cgroup", "/" + rel}} {
		a := r.attach(append(args, "--mode", "record")...)
		d.until("ours 200", "failed")
		if got := livesIn(t, d.cmd.Process.Pid); got != "/"+rel {
			t.Errorf("%q: it was moved to %s", args, got)
		}
		a.end(unix.SIGINT, 0)
		d.until("direct 200", "failed")
	}
}

// TestAttachEnds has a process end while it is attached to.
func TestAttachEnds(t *testing.T) {
	r := newRig(t)
	d := r.loop("")
	a := r.attach("--pid", strconv.Itoa(d.cmd.Process.Pid))
	d.until("ours 200", "")
	d.cmd.Process.Kill()
	tells(t, a.ended(0), "is gone", "recorded ")
	if r.recorded() == 0 {
		t.Error("nothing is recorded")
	}
}

// TestAttachUnseen has a connection open before, and names it.
func TestAttachUnseen(t *testing.T) {
	r := newRig(t)
	dir := testCgroup(t, "x")
	d := dwell(t, r.net.Command("bash", "-c", "exec 3<>/dev/tcp/"+testnet.Lookup(testnet.TCP).V4.String()+"/7; echo open; exec sleep 1000"), dir)
	d.until("open", "")
	peer := testnet.Lookup(testnet.TCP).V4.String() + ":7"
	a := r.attach("--cgroup", dir, "--mode", "passthrough")
	tells(t, a.end(unix.SIGHUP, 0), "1 connection was open before and not seen: TCP "+peer+" (sleep, pid "+strconv.Itoa(d.cmd.Process.Pid)+")")
}

// TestAttachContainer attaches to a process in a network and mount namespace, a
// root directory and a cgroup of its own, as container engines make them. It is
// reached and resolved by its own network: serge-net's has none.
func TestAttachContainer(t *testing.T) {
	r := newRig(t)
	root := filepath.Join(r.dir, "root")
	for _, d := range []string{"bin", "etc/ssl/certs", "proc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sh", filepath.Join(root, "bin/sleep")); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{
		"bin/sh": "/usr/bin/busybox", "bin/goget": built.goget,
		"etc/ssl/certs/ca-certificates.crt": r.net.CAFile,
		"etc/resolv.conf":                   filepath.Join(filepath.Dir(r.net.CAFile), "resolv.conf"),
	} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	id := strings.Repeat(fmt.Sprintf("%08x", os.Getpid()), 8)
	dir := testCgroup(t, "system.slice/docker-"+id+".scope")
	d := dwell(t, r.net.Command("chroot", root, "/bin/sh", "-c", "while :; do /bin/goget https://"+testnet.WWW+"/hello; sleep 0.1; done"), dir)
	d.until("200 https://"+testnet.WWW, "")
	cmd := exec.Command(built.serge, "attach", "--container", id[:12], "--cassette", "c", "--ca-dir", filepath.Join(r.dir, "ca"), "--upstream-ca", r.net.CAFile)
	cmd.Env = append(os.Environ(), "CI=")
	a := r.attachBy(cmd)
	for range 4 { // the first may have begun before
		d.until("200 https://"+testnet.WWW, "20")
	}
	tells(t, a.end(unix.SIGINT, 0), "attached to container "+id[:12], "the target is shown the CA", "recorded ")
	if r.recorded() == 0 {
		t.Error("nothing is recorded")
	}
	for range 3 {
		d.until("200 https://"+testnet.WWW, "Get")
	}
	cmd = exec.Command(built.serge, "attach", "--container", id, "--cassette", "c", "--ca-dir", filepath.Join(r.dir, "ca"), "--mode", "replay")
	cmd.Env = append(os.Environ(), "CI=")
	a = r.attachBy(cmd)
	d.until("200 https://"+testnet.WWW, "")
	hits := r.net.HitCount()
	for range 3 {
		d.until("200 https://"+testnet.WWW, "")
	}
	if after := r.net.HitCount(); after != hits {
		t.Errorf("%d requests reached the origin in a replay", after-hits)
	}
	tells(t, a.end(unix.SIGINT, 0), "0 missed")
}

// TestAttachHost attaches to a process that sees the host's files: they are not
// changed, and it is said how it comes to trust us.
func TestAttachHost(t *testing.T) {
	r := newRig(t)
	ca := filepath.Join(r.dir, "ca")
	if o := r.serge("ca", "path", "--ca-dir", ca); o.code != 0 {
		t.Fatal(o.stderr)
	}
	script := `python3 -c "$1" "$2" "$3" "$4/ca.pem" & p=$!; trap 'kill $p' EXIT
exec 3>&1; timeout 20 ` + built.serge + ` attach --pid $p --cassette c --ca-dir "$4" --upstream-ca "$3" & s=$!; sleep 3; kill -INT $(pgrep -P $s); wait $s; echo "exit $?"`
	o := r.run("bash", "-c", script, "x", looping, testnet.WWW, r.net.CAFile, ca)
	tells(t, o.stdout, "ours 200", "exit 0")
	tells(t, o.stderr, "are not changed", "serge-net ca install", "recorded ")
}

// TestAttachRefused asks for what cannot be.
func TestAttachRefused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		args []string
		want string
		hint string
	}{
		{nil, "attach to one thing", "hint: serge-net attach --pid N"},
		{[]string{"--pid", "1", "--unit", "x"}, "attach to one thing", "hint: "},
		{[]string{"--pid", "1"}, "the system's first", "hint: "},
		{[]string{"--pid", "-1"}, "is no process", "hint: "},
		{[]string{"--pid", "2"}, "kernel thread", "hint: "},
		{[]string{"--pid", "4194304"}, "no such process", "hint: "},
		{[]string{"--pid", strconv.Itoa(os.Getpid())}, "runs inside of it", "hint: start serge-net from elsewhere"},
		{[]string{"--cgroup", "/"}, "runs inside of it", "hint: "},
		{[]string{"--cgroup", "no/such"}, "no cgroup v2 no/such", "hint: "},
		{[]string{"--unit", "no-such-unit"}, "no cgroup of unit no-such-unit", "hint: "},
		{[]string{"--container", "abcdefabcdef"}, "no cgroup of container abcdefabcdef", "hint: "},
		{[]string{"--container", "no-such-name"}, `no container "no-such-name"`, "hint: "},
		{[]string{"--pid", "1", "--backend", "ebpff"}, "not one of", "hint: "},
		{[]string{"--pid", "1", "x"}, "takes no", "hint: "},
	} {
		o := r.serge(append([]string{"attach"}, c.args...)...)
		if o.code != exitStart {
			t.Errorf("%q exits with %d; want %d", c.args, o.code, exitStart)
		}
		tells(t, o.stderr, c.want, c.hint)
	}
	if left, err := os.ReadDir(filepath.Join(r.dir, "cassettes")); err == nil {
		t.Errorf("%v was made", left)
	}
}

// TestAttachDatagrams records HTTP/3 of what runs already, and replays it; other
// UDP passes, and is refused in the replay, by rule and by name of who sends it.
func TestAttachDatagrams(t *testing.T) {
	r := newRig(t)
	const script = `while :; do "$1" "$2" | tail -1; echo "hits:1|c" 2>/dev/null > /dev/udp/$3/8125 && echo sent || echo refused; sleep 0.1; done`
	d := dwell(t, r.net.Command("bash", "-c", script, "bash", built.h3get, "https://"+testnet.QUIC+"/hello", testnet.Lookup(testnet.TCP).V4.String()), "")
	pid := strconv.Itoa(d.cmd.Process.Pid)
	twice := func(want, never string) {
		for range 2 { // the first may have begun before
			d.until("hello from quic", "error")
			d.until(want, never)
		}
	}
	a := r.attach("--pid", pid, "--quic", "record", "--mode", "record", "--verbose")
	d.until("sent", "") // these may have begun before
	d.until("sent", "")
	twice("sent", "refused")
	tells(t, a.end(unix.SIGINT, 0), "connection: h3get (pid ", "passed, not recorded: UDP to 203.0.113.18:8125 (StatsD) ", " by bash (pid "+pid+")")
	if c := r.connections(); len(c) != 1 || c[0] != "https 3 h3" {
		t.Errorf("connections %q; want HTTP/3", c)
	}
	d.until("sent", "")
	a = r.attach("--pid", pid, "--quic", "record", "--mode", "replay", "--repeat", "last")
	d.until("refused", "")
	d.until("refused", "")
	hits, capture := r.net.HitCount(), r.net.Capture()
	twice("refused", "sent")
	if n := r.net.HitCount() - hits; n != 0 || len(capture.Packets()) != 0 {
		t.Errorf("%d requests reached the origin in a replay, %v left", n, capture.Packets())
	}
	tells(t, a.end(unix.SIGINT, 0), "0 missed", "isolated: yes", "escaped: UDP to 203.0.113.18:8125 (StatsD) refused ")
	d.until("sent", "")
}
