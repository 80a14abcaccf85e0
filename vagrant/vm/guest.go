//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tester is the guest's init: it tries the lanes and reports.
type tester struct {
	results *os.File // the second serial port
	origin  *origin
}

// guest is init of the guest. It does not return.
func guest() {
	t := &tester{results: os.Stdout}
	if err := t.run(); err != nil {
		t.tell(event{Failed: err.Error()})
	} else {
		t.tell(event{Done: true})
	}
	unix.Sync()
	// Panics if it returns: init may not end.
	panic(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// tell writes e to the results.
func (t *tester) tell(e event) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	t.results.Write(append(line, '\n')) // the console is all there would be left to say it on
}

// run does everything.
func (t *tester) run() error {
	if err := prepare(); err != nil {
		return err
	}
	f, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	if err := raw(f); err != nil {
		return err
	}
	t.results = f
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	lanes, err := lanes()
	if err != nil {
		return err
	}
	t.tell(event{Booted: &booted{Release: strings.TrimSpace(string(release)), Lanes: lanes}})
	if err := t.lanes(lanes); err != nil {
		return err
	}
	for _, p := range testPackages {
		t.tell(event{Tests: runTests(p)})
	}
	return nil
}

// raw turns off what a terminal does to lines.
func raw(f *os.File) error {
	a, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("tcgetattr %s: %w", f.Name(), err)
	}
	a.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, a); err != nil {
		return fmt.Errorf("tcsetattr %s: %w", f.Name(), err)
	}
	return nil
}

// mounts are a system's, in order.
var mounts = []struct{ kind, at, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"cgroup2", "/sys/fs/cgroup", ""},
	{"devtmpfs", "/dev", ""},
	{"devpts", "/dev/pts", "ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"tmpfs", "/run", "mode=755"},
}

// prepare makes a running system of what the kernel unpacked.
func prepare() error {
	os.Setenv("PATH", "/usr/sbin:/usr/bin")
	os.Setenv("HOME", "/root")
	for _, m := range mounts {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("none", m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.at, err)
		}
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err) // as systemd does
	}
	for from, to := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/ptmx": "pts/ptmx"} {
		if err := os.RemoveAll(from); err != nil {
			return err
		}
		if err := os.Symlink(to, from); err != nil {
			return err
		}
	}
	if err := os.Chown("/home/user", userID, userID); err != nil {
		return err
	}
	return network()
}

// network brings up lo, and an uplink that leads nowhere with the origin's
// addresses on it and the default routes that every machine on a network has.
func network() error {
	script := `ip link set lo up
modprobe dummy numdummies=0
ip link add uplink type dummy
ip link set uplink up
for a in 192.0.2.2/24 ` + originV4 + `/32 ` + originDNS + `/32; do ip addr add $a dev uplink; done
for a in 2001:db8::2/64 ` + originV6 + `/128; do ip addr add $a dev uplink nodad; done
ip route add default via 192.0.2.1 dev uplink
ip -6 route add default via 2001:db8::1 dev uplink`
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		return fmt.Errorf("set up the network: %w: %s", err, out)
	}
	return nil
}

// lanes are those that this serge-net has, by what its --backend completes to.
func lanes() ([]string, error) {
	out, err := exec.Command("serge-net", "__complete", "run", "--backend", "").Output()
	if err != nil {
		return nil, fmt.Errorf("ask serge-net for its lanes: %w", told(err))
	}
	return parseLanes(string(out))
}

// parseLanes reads cobra's completions: a word a line, a tab before what it
// means, and last a line of flags that begins with a colon.
func parseLanes(completions string) ([]string, error) {
	var words []string
	for line := range strings.Lines(completions) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if word != "" && word != "auto" && !strings.HasPrefix(word, ":") {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("serge-net completes --backend to nothing: %q", completions)
	}
	return words, nil
}

// planned are the lanes of the architecture, in the order in which auto tries
// them. One that this build has not gets its row all the same.
var planned = []string{"ebpf", "netns", "iptables"}

// allLanes are planned, and those beside.
func allLanes(built []string) []string {
	all := slices.Clone(planned)
	for _, l := range built {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// patience is how long one command may take, on an emulated processor.
const patience = 90 * time.Second

// output runs cmd, which is told to end when patience is over, and returns what
// it wrote to stdout and stderr.
func output(ctx context.Context, u user, dir string, argv ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=" + u.home, "TMPDIR=/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: u.caps}
	if u.id != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.id, Gid: u.id}
	}
	if u.cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(u.cgroup.Fd())
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(fmt.Errorf("not ended after %v", patience), err)
	}
	return out.String(), said.String(), err
}
