package redirect

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// savedRules are all rules of this network namespace, v4 and v6, without
// comments and counters.
func savedRules(t *testing.T) string {
	t.Helper()
	var all []string
	for _, program := range []string{"iptables-save", "ip6tables-save"} {
		out, err := exec.Command(program).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", program, err, out)
		}
		lines := strings.Split(string(out), "\n")
		all = append(all, slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })...)
	}
	return strings.Join(all, "\n")
}

// ruled fails unless rules of ours are there, or are not.
func ruled(t *testing.T, when string, want bool) {
	t.Helper()
	saved := savedRules(t)
	if got := strings.Contains(saved, chainPrefix) || strings.Contains(saved, tagPrefix); got != want {
		t.Errorf("%s there are rules of ours: %v; want %v:\n%s", when, got, want, saved)
	}
}

func TestIPTablesKill(t *testing.T) {
	for _, c := range []struct {
		name string
		who  func(p *parentProcess) int
	}{
		{"parent", func(p *parentProcess) int { return p.Process.Pid }},
		{"init", func(p *parentProcess) int { return p.init }},
		{"command", func(p *parentProcess) int { return p.command }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T) {
				isolateRouted(t)
				p := startParent(t, self(t, "linger")...)
				ruled(t, "while it runs", true)
				waits := []func(){deathOf(t, "init", p.init), deathOf(t, "command", p.command), deathOf(t, "daemon", p.daemon)}
				unix.Kill(c.who(p), unix.SIGKILL)
				for _, wait := range waits {
					wait()
				}
				p.Wait()
				ruled(t, "after the kill", false)
			})
		})
	}
}

// TestIPTablesKillBoth leaves a command without a network, and rules that the
// next start removes.
func TestIPTablesKillBoth(t *testing.T) {
	eachWay(t, func(t *testing.T) {
		isolateRouted(t)
		p := startParent(t, self(t, "linger")...)
		p.in.Write([]byte("\n"))
		if got := p.line(t); !strings.HasPrefix(got, "refused false <nil>") {
			t.Fatalf("dial before the kill: %q; want success", got)
		}
		daemonDeath := deathOf(t, "daemon", p.daemon)
		killAtOnce(t, p.Process.Pid, p.init)
		ruled(t, "with both dead", true)
		if strings.Contains(t.Name(), "by_cgroup") { // else the kernel killed it with init
			p.in.Write([]byte("\n"))
			if got := p.line(t); !strings.HasPrefix(got, "refused true") {
				t.Errorf("dial with both dead: %q; want a refusal", got)
			}
		} else {
			unix.Kill(p.daemon, unix.SIGKILL) // nobody knows it any more
		}
		p.Wait()
		d := diverted(t, Target{})
		if strings.Count(savedRules(t), "-A OUTPUT") != 4 {
			t.Errorf("after the next start there are other rules than its own:\n%s", savedRules(t))
		}
		d.Close()
		ruled(t, "after Close", false)
		daemonDeath()
	})
}

// TestIPTablesMany starts and ends runs beside each other: each is diverted,
// and the rules of others, the host's too, stay as they were.
func TestIPTablesMany(t *testing.T) {
	for _, c := range []struct{ name, before string }{
		{"a host without rules", "true"},
		{"a host with rules", "iptables -A OUTPUT -d 203.0.113.77 -j ACCEPT; iptables -t nat -N OTHER; iptables -t mangle -P FORWARD DROP; ip6tables -A INPUT -p tcp --dport 9 -j DROP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolateRouted(t)
			run(t, c.before)
			before := savedRules(t)
			var running []*exec.Cmd
			for range 20 {
				args := self(t, "parent", "bash", "-c", "exec 3</dev/tcp/203.0.113.1/80 && exec 4</dev/tcp/2001:db8::1/443")
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				running = append(running, cmd)
			}
			for _, cmd := range running {
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v", err)
				}
			}
			if diff := cmp.Diff(before, savedRules(t)); diff != "" {
				t.Errorf("rules (-before +after):\n%s", diff)
			}
		})
	}
}
