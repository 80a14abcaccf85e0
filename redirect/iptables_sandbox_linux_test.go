package redirect

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIPTablesSandbox runs where a container's root may be: with few
// capabilities, without cgroups, with the one or the other program.
func TestIPTablesSandbox(t *testing.T) {
	const (
		onlyIPv4 = `for p in iptables iptables-restore iptables-save; do cp /usr/sbin/xtables-nft-multi $DIR/$p; done; mount --bind $DIR /usr/sbin; `
		noNFT    = `mount --bind /dev/null /usr/sbin/xtables-nft-multi; `
		dial     = `exec 3</dev/tcp/203.0.113.1/80 && exec 4</dev/tcp/2001:db8::1/80 && echo connected`
	)
	connected := []string{"connected\n"}
	for _, c := range []struct {
		name, before, caps string
		want               []string
	}{
		{"CAP_NET_ADMIN and a cgroup", "", "net_admin", connected},
		{"CAP_NET_ADMIN and CAP_SETGID", hideCgroups + "; ", "net_admin,+setgid", connected},
		{"CAP_NET_ADMIN, CAP_SETGID and CAP_SETPCAP", hideCgroups + "; ", "net_admin,+setgid,+setpcap", connected},
		{"CAP_NET_ADMIN alone", hideCgroups + "; ", "net_admin", []string{"by cgroup: ", "mounted read-only", "by group: ", "missing CAP_SETGID", "hint: grant it (docker run --cap-add SETGID)"}},
		{"no capability", "", "chown", []string{"missing CAP_NET_ADMIN", "hint: start with sudo"}},
		{"legacy with CAP_NET_RAW", noNFT, "net_admin,+net_raw", connected},
		{"legacy without", noNFT, "net_admin", []string{"you must be root", "hint: legacy iptables needs CAP_NET_RAW"}},
		{"no iptables", "mount -t tmpfs none /usr/sbin; ", "net_admin", []string{"iptables: executable file not found", "hint: install iptables"}},
		{"no ip6tables", onlyIPv4, "net_admin", []string{"ip6tables: executable file not found", "hint: this host has IPv6"}},
		{"no ip6tables and no IPv6", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; " + onlyIPv4, "net_admin", []string{"2001:db8::1/80: Cannot assign requested address\n"}},
		{"no route", "ip route del default; ", "net_admin", []string{"diverts only what has a route", "network is unreachable", "hint: use --backend netns or ebpf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolateRouted(t)
			script := c.before + `exec setpriv --bounding-set=-all,+` + c.caps + ` --inh-caps=-all "$@"`
			cmd := exec.Command("unshare", append([]string{"-m", "sh", "-ec", script, "sh"}, self(t, "parent", "bash", "-c", dial)...)...)
			cmd.Env = append(os.Environ(), "DIR="+t.TempDir(), "PATH=/usr/local/bin:/usr/bin:/bin") // as an ordinary user's
			dir := subtree(t, 0)                                                                    // its owner needs no capability to make cgroups
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			out, err := cmd.CombinedOutput()
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("%v, output %q; want %q", err, out, w)
				}
			}
			ruled(t, "at the end", false)
		})
	}
}

// capabilities gives the program at path capabilities, as setcap does with
// "+ep": struct vfs_cap_data, include/uapi/linux/capability.h.
func capabilities(t *testing.T, path string, caps ...int) {
	t.Helper()
	const revision2, effective = 0x02000000, 1
	var permitted uint32
	for _, c := range caps {
		permitted |= 1 << c
	}
	b := binary.LittleEndian.AppendUint32(nil, revision2|effective)
	b = binary.LittleEndian.AppendUint32(b, permitted)
	if err := unix.Setxattr(path, "security.capability", append(b, make([]byte, 12)...), 0); err != nil {
		t.Fatal(err)
	}
}

// TestIPTablesNobody is an ordinary user whose serge-net has been given
// capabilities, once and for all.
func TestIPTablesNobody(t *testing.T) {
	for _, c := range []struct {
		name  string
		owner int // of the cgroup
		caps  []int
		want  string
	}{
		{"by cgroup", nobody, []int{unix.CAP_NET_ADMIN}, "connected\n65534\n"},
		{"by group", 0, []int{unix.CAP_NET_ADMIN, unix.CAP_SETGID}, "connected\n65534\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolateRouted(t)
			program := public(t)
			capabilities(t, program, c.caps...)
			dir := subtree(t, c.owner)
			cmd := exec.Command(program, "parent", "bash", "-c", "exec 3</dev/tcp/203.0.113.1/80 && echo connected; id -u")
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
			}
			if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), c.want) {
				t.Errorf("%v, output %q; want %q", err, out, c.want)
			}
			ruled(t, "at the end", false)
		})
	}
}

// sent is how many TCP packets have left by dev0, which a rule of the test counts.
func sent(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("iptables", "-t", "mangle", "-vS", "POSTROUTING").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, count, _ := strings.Cut(string(out), " -o dev0 -p tcp -c ")
	n := -1
	fmt.Sscan(count, &n)
	return n
}

// TestGroupStays has a target that is told by its group try to be rid of it. It
// does not succeed, or is diverted all the same: nothing leaves.
func TestGroupStays(t *testing.T) {
	var script string
	for _, shed := range []string{"setpriv --clear-groups bash", "setpriv --reuid=nobody --clear-groups bash", "chroot --groups=65534 / bash",
		"unshare -U --map-root-user setpriv --clear-groups bash", "su -s /bin/bash nobody"} {
		script += fmt.Sprintf("echo try; %s -c 'exec 3</dev/tcp/203.0.113.1/80' & ", shed)
	}
	script += "sleep 0.5; kill $(jobs -p)"
	for _, caps := range []string{"+all", "-setpcap"} {
		t.Run(caps, func(t *testing.T) {
			isolateRouted(t)
			run(t, "iptables -t mangle -A POSTROUTING -o dev0 -p tcp")
			wrapped := []string{"-m", "sh", "-ec", hideCgroups + `; exec setpriv --bounding-set=` + caps + ` "$@"`, "sh"}
			exec.Command("unshare", append(wrapped, "bash", "-c", script)...).Run()
			before := sent(t)
			if before < 4 { // of five; unshare cannot shed
				t.Fatalf("alone it sends %d packets; want 4", before)
			}
			out, _ := exec.Command("unshare", append(wrapped, self(t, "parent", "bash", "-c", script)...)...).CombinedOutput()
			if n := sent(t) - before; n != 0 || strings.Count(string(out), "try\n") != 5 {
				t.Errorf("%d packets left:\n%s", n, out)
			}
		})
	}
}
