package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect"
)

// TestDoctor asks for a diagnosis with the privileges that people have, and
// where something is missing.
func TestDoctor(t *testing.T) {
	r := newRig(t)
	r.dir = "/"
	user := []string{"setpriv", "--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups"}
	both := []string{"--inh-caps", "+bpf,+net_admin", "--ambient-caps", "+bpf,+net_admin"}
	// Both settings are of the namespace that the shell makes, not of the machine.
	without := []string{"unshare", "--user", "--map-root-user", "sh", "-ec", `echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"`, "sh"}
	sealed := []string{"unshare", "--mount", "sh", "-ec",
		`for m in $(awk '$3 == "cgroup2" {print $2}' /proc/mounts); do mount -o remount,bind,ro $m; done; exec "$@"`, "sh"}
	for _, c := range []struct {
		name  string
		enter []string
		ebpf  bool
		level string
		// needs are those that are missing, with part of what is said of each.
		needs map[string]string
		hint  string // part of the ebpf lane's
	}{
		{name: "root", ebpf: true, level: "root"},
		{name: "nobody", enter: user, level: "an ordinary user, user namespaces", hint: "start with sudo",
			needs: map[string]string{"capabilities": "missing CAP_BPF CAP_NET_ADMIN", "cgroup v2": "not delegated to user 65534"}},
		{name: "no new privileges", enter: append(slices.Clone(user), "--no-new-privs"), level: "an ordinary user, user namespaces", hint: "start with sudo",
			needs: map[string]string{"capabilities": "no_new_privs is set", "cgroup v2": "not delegated"}},
		{name: "two capabilities", enter: append(slices.Clone(user), both...), level: "CAP_BPF and CAP_NET_ADMIN", hint: "delegated",
			needs: map[string]string{"capabilities": "CAP_BPF CAP_NET_ADMIN; missing CAP_SYS_ADMIN", "cgroup v2": "not delegated"}},
		{name: "no user namespaces", enter: without, level: "root in a user namespace", hint: "outside of the container",
			needs: map[string]string{"capabilities": "in a user namespace", "user namespaces": "user.max_user_namespaces is 0"}},
		{name: "sealed cgroups", enter: sealed, level: "root", hint: "remount it read-write",
			needs: map[string]string{"cgroup v2": "is mounted read-only"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := r.run(append(slices.Clone(c.enter), built.serge, "doctor", "--lanes", "--json")...)
			var d diagnosis
			if err := json.Unmarshal([]byte(o.stdout), &d); err != nil {
				t.Fatalf("%v in %q\n%s", err, o.stdout, o.stderr)
			}
			if d.Version != 1 || d.Works != (o.code == 0) || len(d.Lanes) != len(redirect.Lanes()) {
				t.Errorf("exit code %d, %+v", o.code, d)
			}
			l := d.Lanes[0]
			if l.Lane != "ebpf" || l.Works != c.ebpf || !strings.Contains(l.Hint, c.hint) || l.Works != (l.Why == "") || l.Works != (l.MS > 0 && l.Trust == "mount") {
				t.Errorf("%+v; want it works %v, hint %q", l, c.ebpf, c.hint)
			}
			for _, n := range d.Needs {
				want, missing := c.needs[n.Name]
				if n.OK == missing || !strings.Contains(n.Found, want) || missing != (n.Hint != "") {
					t.Errorf("%+v; want it ok %v, found %q", n, !missing, want)
				}
			}
			for _, l := range d.Levels {
				if l.Current != (l.Level == c.level) {
					t.Errorf("level %q is current: %v; want %q", l.Level, l.Current, c.level)
				}
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(cgroupMount(t), "serge-*")); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestDoctorText has the same for people: each need with its remedy, and the
// table with a star.
func TestDoctorText(t *testing.T) {
	r := newRig(t)
	r.dir = "/"
	o := r.run("setpriv", "--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups", built.serge, "doctor", "--lanes")
	for _, want := range []string{"ebpf lane", "does not work", "missing CAP_BPF CAP_NET_ADMIN\n", "hint: start with sudo, or once: sudo setcap",
		"\n* an ordinary user, user namespaces ", "\n  root ", "/run/serge-net/agent.sock"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
	if o.stderr != "" {
		t.Errorf("it says %q", o.stderr)
	}
}
