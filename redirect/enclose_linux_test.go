package redirect

import (
	"os/exec"
	"strings"
	"testing"
)

// TestEnclosed is a command that looks for its cgroup where programs do, makes
// one in it, moves there, and is diverted still; also where it starts in the
// directory of another. Where version 1 is mounted too, its names for cgroups
// stay those of outside.
func TestEnclosed(t *testing.T) {
	isolate(t)
	alone := `mount --make-rprivate /
		while umount -R /sys/fs/cgroup 2>/dev/null; do :; done
		mount -t cgroup2 none /sys/fs/cgroup
		mkdir /sys/fs/cgroup/redirect-enclosed; trap 'cd /; rmdir /sys/fs/cgroup/redirect-enclosed' EXIT
		cd /sys/fs/cgroup/redirect-enclosed
		"$@"`
	look := `cd . ; pwd; at=$(awk '/ - cgroup2 / {print $5}' /proc/self/mountinfo | tail -n1)
		in=$(grep ^0:: /proc/self/cgroup); echo "${in#0::}"
		grep -qx $$ "$at/cgroup.procs" && echo in
		mkdir "$at/child" && echo $$ >"$at/child/cgroup.procs"
		in=$(grep ^0:: /proc/self/cgroup); echo "${in##*/}"
		ls -d "$at"/serge-* "$at"/../cgroup.procs "$at/redirect-enclosed" 2>/dev/null
		exec 3<>/dev/tcp/203.0.113.1/80 && echo diverted`
	binary := self(t, "")[0]
	for _, c := range []struct{ name, script, dir, cgroup string }{
		{"version 2 alone", alone, "/sys/fs/cgroup", "/"},
		{"as the machine has it", `"$@"`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("unshare", "-m", "sh", "-c", c.script, "sh", binary, "parent", "bash", "-c", look)
			out, err := cmd.CombinedOutput()
			f := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			if err != nil || len(f) != 5 {
				t.Fatalf("%v: %s", err, out)
			}
			if c.dir != "" && f[0] != c.dir || c.cgroup != "" && f[1] != c.cgroup {
				t.Errorf("it starts in %s, in the cgroup %s; want %s, %s", f[0], f[1], c.dir, c.cgroup)
			}
			if got := strings.Join(f[2:], " "); got != "in child diverted" {
				t.Errorf("%q; want in child diverted\n%s", got, out)
			}
		})
	}
}
