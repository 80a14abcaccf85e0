package redirect

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestRules holds the rule sets to what is in testdata, as iptables-restore
// gets them.
func TestRules(t *testing.T) {
	byCgroup := []string{"-m", "cgroup", "--path", "/user slice/serge-7-99"}
	both := ruleSet{
		chain: "SERGE-7-99", tag: "serge-net:7-99@1", match: byCgroup,
		listener: ports{4001, 6001}, packets: ports{4002, 6002}, group: 7, pass: []Pass{{}},
	}
	named, hermetic, bare := both, both, both
	named.except = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8::/32")}
	named.resolvers = []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}
	named.pinned = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fd5e:7267::/64")}
	named.pass = []Pass{{Port: 123}, {To: netip.MustParsePrefix("10.0.0.0/8")}, {To: netip.MustParsePrefix("198.18.0.0/24"), Port: 8125}}
	for p := range uint16(17) {
		named.loopback = append(named.loopback, 8000+p)
	}
	hermetic.hermetic, hermetic.match, hermetic.except = true, groupMatch(1234567890), named.except
	hermetic.pass = []Pass{{Port: 514}}
	bare.group, bare.listener.v6, bare.packets.v6 = 0, 0, 0 // neither NFLOG nor ::1
	for _, c := range []struct {
		name string
		set  ruleSet
	}{{"plain", both}, {"named", named}, {"hermetic", hermetic}, {"bare", bare}} {
		t.Run(c.name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				path := filepath.Join("testdata", "rules-"+c.name+map[bool]string{false: "-4", true: "-6"}[v6]+".txt")
				got := string(xfamily{v6: v6}.script(c.set, map[string]bool{"nat": c.name == "plain"}))
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

// TestChainNames fit into what the kernel takes, for a pid and a start time as
// long as they get.
func TestChainNames(t *testing.T) {
	const longest = 28                            // XT_EXTENSION_MAXNAMELEN, include/uapi/linux/netfilter/x_tables.h, with its zero
	name := chainPrefix + "4194304-31536000000-9" // PID_MAX_LIMIT, ten years in clock ticks
	if len(name) > longest {
		t.Errorf("%s has %d characters; %d fit", name, len(name), longest)
	}
	if pid, start, ok := chainOwner(name); pid != 4194304 || start != 31536000000 || !ok {
		t.Errorf("chainOwner(%q) = %d, %d, %v", name, pid, start, ok)
	}
	for _, s := range []string{"SERGE", "SERGE-", "SERGE-1", "SERGE-x-1", "OUTPUT"} {
		if _, _, ok := chainOwner(s); ok {
			t.Errorf("chainOwner(%q) = true", s)
		}
	}
}

func TestParseCounter(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, c := range []struct {
		line         string
		v6, hermetic bool
		want         Escape
		ok           bool
	}{
		{"-A SERGE-7-99 -p udp -m udp --dport 443 ! -o lo -c 3 96 -j REJECT --reject-with icmp-port-unreachable", false, false, escape("udp", at("0.0.0.0:443"), "quic", 3), true},
		{"-A SERGE-7-99 ! -o lo -c 12 999 -j DROP", true, true, escape("ipv6", at("[::]:0"), "hermetic", 12), true},
		{"-A SERGE-7-99 ! -o lo -c 0 0 -j DROP", false, true, Escape{}, false},
		{"-A SERGE-7-99 -d 10.0.0.0/8 -c 5 300 -j RETURN", false, true, Escape{}, false},
		{"-N SERGE-7-99", false, true, Escape{}, false},
		{"", false, true, Escape{}, false},
	} {
		got, ok := parseCounter(c.line, c.v6, c.hermetic)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("parseCounter(%q) = %+v, %v; want %+v, %v", c.line, got, ok, c.want, c.ok)
		}
	}
}

// TestBothErrors hints at what is less to ask for.
func TestBothErrors(t *testing.T) {
	err := bothErrors(&HintError{ErrUnsupported, "first"}, &HintError{ErrUnsupported, "second"})
	h, ok := err.(*HintError)
	if !ok || h.Hint != "second" || !strings.HasPrefix(err.Error(), "by cgroup: ") {
		t.Errorf("%v, hint %+v", err, h)
	}
}

// TestRemoval removes what is stale, and nothing else.
func TestRemoval(t *testing.T) {
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	alive, gone, foreign := fmt.Sprintf("SERGE-%d-%d", os.Getpid(), start), fmt.Sprintf("SERGE-%d-%d-2", os.Getpid(), start+1), "SERGE-4194304-7"
	text := "# Generated\n*nat\n:OUTPUT ACCEPT [0:0]\n:OTHER - [0:0]\n"
	for _, c := range []string{alive, gone, foreign} {
		text += ":" + c + " - [0:0]\n"
	}
	text += `-A OUTPUT -m cgroup --path "a b" -m comment --comment "serge-net:1@1+" -j ` + gone + "\n-A OUTPUT -j " + alive + "\n-A OUTPUT -j " + foreign + "\n"
	text += "-A " + gone + " -m comment --comment \"serge-net:1" + pidNamespace() + "\"\n-A " + foreign + " -m comment --comment \"serge-net:4194304-7@1\"\nCOMMIT\n"
	script, names := removal(parseSave(text), stale)
	want := "*nat\n-D OUTPUT -m cgroup --path \"a b\" -m comment --comment \"serge-net:1@1+\" -j " + gone + "\n-F " + gone + "\n-X " + gone + "\nCOMMIT\n"
	if diff := cmp.Diff(want, string(script)); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{gone}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// FuzzParseSave has every rule in a table that there is.
func FuzzParseSave(f *testing.F) {
	f.Add("*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j RETURN\nCOMMIT\n")
	f.Fuzz(func(t *testing.T, text string) {
		found := parseSave(text)
		found.fresh()
		removal(found, func(string, []string) bool { return true })
	})
}
