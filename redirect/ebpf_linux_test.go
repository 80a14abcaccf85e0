package redirect

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// isolate puts the test's goroutine, and what it starts, in a network namespace
// with nothing but lo: what is not diverted has nowhere to go. Sockets of other
// goroutines stay outside, so Start must be called from this one. The thread
// dies with the test.
func isolate(t *testing.T) {
	t.Helper()
	requireRoot(t)
	runtime.LockOSThread() // never unlocked
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	run(t, "ip link set lo up")
}

// laneVariable names the lane that diverted and parentRole take.
const laneVariable = "SERGE_TEST_LANE"

// laneUnderTest is what laneVariable says, ebpf if nothing.
func laneUnderTest() Lane {
	for _, l := range Lanes() {
		if os.Getenv(laneVariable) == l.String() {
			return l
		}
	}
	return EBPF
}

// eachLane runs f once with each lane, isolated.
func eachLane(t *testing.T, f func(*testing.T)) {
	for _, l := range []Lane{EBPF, Netns} {
		t.Run(l.String(), func(t *testing.T) {
			t.Setenv(laneVariable, l.String())
			isolate(t)
			f(t)
		})
	}
}

// run runs a shell script from the test's own thread.
func run(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// diverted starts a diversion that ends with the test. Of the host's ports it
// knows only those that the target names: goroutines of a test are not in its
// namespace.
func diverted(t *testing.T, target Target) *Diversion {
	t.Helper()
	target.Init = []string{asInit}
	target.HostPorts = append([]uint16{}, target.HostPorts...)
	target.Publish = append([]Publish{}, target.Publish...)
	d, err := Start(t.Context(), target, laneUnderTest())
	if err != nil {
		t.Fatalf("Start(%+v): %v", target, err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// echo answers every connection with its destination and its caller's command,
// a line, until d is closed.
func echo(t *testing.T, d *Diversion) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := d.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Errorf("Accept: %v", err)
				continue
			}
			io.WriteString(c, c.Dst.String()+" "+c.Caller.Command+"\n")
			c.Close()
		}
	}()
	t.Cleanup(func() { d.Close(); <-done })
}

// output runs argv to its end and returns what it wrote and how it ended.
func output(t *testing.T, d *Diversion, argv ...string) (string, ExitStatus) {
	t.Helper()
	return outputOf(t, d, Command{Argv: argv})
}

// outputOf runs c to its end and returns what it wrote to both its outputs.
func outputOf(t *testing.T, d *Diversion, c Command) (string, ExitStatus) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stdout, c.Stderr = w, w
	p, err := d.Run(t.Context(), c)
	w.Close()
	if err != nil {
		t.Fatalf("Run(%q): %v", c.Argv, err)
	}
	var b bytes.Buffer
	io.Copy(&b, r)
	s, err := p.Wait()
	if err != nil {
		t.Errorf("Wait: %v", err)
	}
	return b.String(), s
}
