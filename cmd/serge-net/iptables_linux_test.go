package main

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// TestIPTablesClients has real clients print by the iptables lane what they
// print without us, recorded and replayed beside a living origin.
func TestIPTablesClients(t *testing.T) {
	r := newRig(t)
	urls := addresses("/json")
	few := []string{"curl-h2", "wget", "python-requests", "node-fetch"}
	for _, c := range clients(t) {
		if os.Getenv("SERGE_TEST_ALL") == "" && !slices.Contains(few, c.name) {
			continue // the others differ in how they trust, not in how they connect
		}
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, net: r.net, dir: t.TempDir()}
			argv := c.argv(urls)
			direct := r.runWith(c.direct(r), "", argv...)
			if direct.code != 0 || strings.Count(direct.stdout, `"testnet"`) != len(urls) {
				t.Fatalf("direct: exit code %d\n%s\n%s", direct.code, direct.stdout, direct.stderr)
			}
			recorded := r.well(append([]string{"record", "c", "--backend", "iptables", "--"}, argv...)...)
			if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" {
				t.Errorf("recorded prints other than direct (-direct +recorded):\n%s", d)
			}
			hits, capture := r.net.HitCount(), r.net.Capture()
			defer capture.Close()
			replayed := r.well(append([]string{"replay", "c", "--backend", "iptables", "--"}, argv...)...)
			if n := r.net.HitCount() - hits; n != 0 {
				t.Errorf("the origin was asked %d times in a replay", n)
			}
			if p := capture.Packets(); len(p) != 0 {
				t.Errorf("%d packets left in a replay, the first %v", len(p), p[0])
			}
			if d := cmp.Diff(direct.stdout, replayed.stdout); d != "" {
				t.Errorf("replayed prints other than direct (-direct +replayed):\n%s", d)
			}
		})
	}
	r.unruled()
}

// unruled fails if rules of ours are left in the small internet.
func (r *rig) unruled() {
	r.t.Helper()
	if o := r.run("sh", "-c", "iptables-save; ip6tables-save"); o.code != 0 || strings.Contains(o.stdout, "SERGE-") || strings.Contains(o.stdout, "serge-net:") {
		r.t.Errorf("rules are left, exit code %d:\n%s%s", o.code, o.stdout, o.stderr)
	}
}

// TestIPTablesHermetic is TestHermetic with the other lane.
func TestIPTablesHermetic(t *testing.T) {
	r := newRig(t)
	r.pingable()
	r.well("record", "c", "--backend", "iptables", "--", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	if o := r.run(r.hostile("")...); strings.Count(o.stdout, ": sent\n") < 15 {
		t.Fatalf("alone it sends:\n%s", o.stdout)
	}
	hits, capture := r.net.HitCount(), r.net.Capture()
	defer capture.Close()
	o := r.serge(append([]string{"replay", "c", "--backend", "iptables", "--"}, r.hostile("")...)...)
	if p := capture.Packets(); len(p) != 0 {
		t.Errorf("%d packets left, the first %v", len(p), p[0])
	}
	if n := r.net.HitCount() - hits; n != 0 {
		t.Errorf("the origin was reached %d times", n)
	}
	if strings.Contains(strings.Replace(o.stdout, "ping to 2001:db8:113::10: sent\n", "", 1), ": sent\n") {
		t.Errorf("the kernel took some:\n%s", o.stdout)
	}
	for _, want := range []string{
		"escaped: UDP to 203.0.113.10:7 refused", "escaped: UDP to 203.0.113.10:9 refused", "escaped: UDP to 203.0.113.10:443 (QUIC) refused",
		"escaped: UDP to [2001:db8:113::10]:7 refused", "escaped: UDP to [2001:db8:113::10]:443 (QUIC) refused",
		"escaped: ICMP to 203.0.113.10 refused once", "escaped: ICMPV6 to 2001:db8:113::10 refused once",
		"escaped: UDP to 224.0.0.251:5353 (mDNS) refused", "escaped: UDP to [ff02::fb]:5353 (mDNS) refused",
		"miss: CONNECT tcp://203.0.113.10:7\n", "miss: CONNECT tcp://[2001:db8:113::10]:7\n", "isolated: no",
	} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("the report has no %q:\n%s", want, o.stderr)
		}
	}
	if o.code != exitMissed {
		t.Errorf("exit code %d; want %d", o.code, exitMissed)
	}
	r.unruled()
}

// TestForeignRules are those of a run in another pid namespace that was killed:
// nobody here can tell that it was, so the next run leaves them, and says so
// once, and how they go.
func TestForeignRules(t *testing.T) {
	r := newRig(t)
	o := r.run("sh", "-ec", `iptables -t nat -N SERGE-1-1
		iptables -t nat -A SERGE-1-1 -m comment --comment serge-net:1-1@1
		iptables -t nat -A OUTPUT -m mark --mark 9 -m comment --comment serge-net:1-1@1 -j SERGE-1-1`)
	if o.code != 0 {
		t.Fatal(o.stderr)
	}
	remedy := ""
	for range 2 {
		o = r.well("run", "--mode", "passthrough", "--backend", "iptables", "--", "true")
		_, after, ok := strings.Cut(o.stderr, "serge-net: left alone: SERGE-")
		if !ok || strings.Contains(after, "left alone") {
			t.Fatalf("the report says it not, or twice:\n%s", o.stderr)
		}
		_, remedy, _ = strings.Cut(after, "if it does not: ")
		remedy, _, _ = strings.Cut(remedy, ";")
	}
	if o := r.run("sh", "-c", remedy+"; "+strings.ReplaceAll(remedy, "iptables", "ip6tables")); o.code != 0 {
		t.Fatalf("%s: exit code %d: %s", remedy, o.code, o.stderr)
	}
	if o := r.well("run", "--mode", "passthrough", "--backend", "iptables", "--", "true"); strings.Contains(o.stderr, "left alone") {
		t.Errorf("they are left all the same:\n%s", o.stderr)
	}
	r.unruled()
}

// TestIPTablesBeside has two runs at once record what each asked for, and
// neither what the other did.
func TestIPTablesBeside(t *testing.T) {
	r := newRig(t)
	var both sync.WaitGroup
	var out [2]outcome
	for i, host := range []string{testnet.WWW, testnet.H2} {
		both.Go(func() {
			out[i] = r.serge("record", host, "--backend", "iptables", "--", "curl", "-sS", "https://"+host+"/hello", "--next", "-sS", "https://"+host+"/json")
		})
	}
	both.Wait()
	for _, o := range out {
		if o.code != 0 || !strings.Contains(o.stderr, "recorded 2 interactions") {
			t.Errorf("exit code %d:\n%s\n%s", o.code, o.stdout, o.stderr)
		}
	}
	r.unruled()
}
