package redirect

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestIPTablesSandbox runs where a container's root may be: with few
// capabilities, without cgroups, with the one or the other program.
func TestIPTablesSandbox(t *testing.T) {
	const (
		onlyIPv4 = `for p in iptables iptables-restore; do cp /usr/sbin/xtables-nft-multi $DIR/$p; done; mount --bind $DIR /usr/sbin; `
		noNFT    = `mount --bind /dev/null /usr/sbin/xtables-nft-multi; `
		dial     = `exec 3</dev/tcp/203.0.113.1/80 && exec 4</dev/tcp/2001:db8::1/80 && echo connected`
	)
	diverted := []string{"connected\n"}
	for _, c := range []struct {
		name, before, caps string
		want               []string
	}{
		{"CAP_NET_ADMIN and a cgroup", "", "net_admin", diverted},
		{"CAP_NET_ADMIN and CAP_SETGID", hideCgroups + "; ", "net_admin,+setgid", diverted},
		{"CAP_NET_ADMIN, CAP_SETGID and CAP_SETPCAP", hideCgroups + "; ", "net_admin,+setgid,+setpcap", diverted},
		{"CAP_NET_ADMIN alone", hideCgroups + "; ", "net_admin", []string{"by cgroup: ", "mounted read-only", "by group: ", "missing CAP_SETGID", "hint: grant it (docker run --cap-add SETGID)"}},
		{"no capability", "", "chown", []string{"missing CAP_NET_ADMIN", "hint: start with sudo"}},
		{"legacy with CAP_NET_RAW", noNFT, "net_admin,+net_raw", diverted},
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
