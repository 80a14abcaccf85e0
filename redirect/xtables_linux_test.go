package redirect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestUnlink removes by nftables what the programs have made, and only that.
func TestUnlink(t *testing.T) {
	for _, c := range []struct{ name, before, between, left string }{
		{"a host without rules", "true", "true", ""},
		{"a host with rules", "iptables -A OUTPUT -d 203.0.113.77 -j ACCEPT; iptables -t nat -N OTHER; ip6tables -A OUTPUT -j ACCEPT", "true", ""},
		{"a rule made meanwhile", "true", "iptables -A OUTPUT -j ACCEPT", "-A OUTPUT -j ACCEPT"},
		{"a chain made meanwhile", "true", "ip6tables -t nat -N OTHER", ":OTHER - [0:0]"},
		{"a policy set meanwhile", "true", "iptables -P OUTPUT DROP", ":OUTPUT DROP [0:0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolateRouted(t)
			run(t, c.before)
			before := savedRules(t)
			x, found, err := openXtables()
			if err != nil {
				t.Fatal(err)
			}
			set := ruleSet{match: groupMatch(77), listener: ports{4001, 6001}, packets: ports{4002, 6002}, hermetic: true}
			if err := x.arm(&set, found); err != nil {
				t.Fatal(err)
			}
			run(t, c.between)
			if unlink("SERGE-0-0") {
				t.Error("unlink removes what is not there")
			}
			if !unlink(set.chain) {
				t.Error("unlink leaves it to the programs")
			}
			after := savedRules(t)
			if c.left == "" {
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("rules (-before +after):\n%s", diff)
				}
				return
			}
			if !strings.Contains(after, c.left) || strings.Contains(after, chainPrefix) || strings.Contains(after, "mangle") {
				t.Errorf("left: %s; want %s alone", after, c.left)
			}
		})
	}
}

// TestUnlinkBoth removes in one transaction what two have left, as the next start
// does, and the tables that were theirs.
func TestUnlinkBoth(t *testing.T) {
	isolateRouted(t)
	before := savedRules(t)
	x, found, err := openXtables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for gid := range 2 {
		set := ruleSet{match: groupMatch(77 + gid), listener: ports{4001, 6001}, packets: ports{4002, 6002}, hermetic: gid == 1}
		if err := x.arm(&set, found); err != nil {
			t.Fatal(err)
		}
		names = append(names, set.chain)
		if found, err = x.save(); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.remove(found, func(chain string, _ []string) bool { return slices.Contains(names, chain) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, savedRules(t)); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}
}

// TestLockSeconds is one figure for the programs and for us.
func TestLockSeconds(t *testing.T) {
	if d, err := time.ParseDuration(lockSeconds + "s"); d != lockPatience || err != nil {
		t.Errorf("lockSeconds is %s, lockPatience %v", lockSeconds, lockPatience)
	}
}
