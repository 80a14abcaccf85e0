package redirect

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// nftables' iptables makes a table with the first rule in it, and keeps it when
// the last is gone: an empty table would stay behind where there was none. So
// who finds none says so in the comment of the jump, freshMark; who finds one
// that only rules like that are in says the same; and the last to go removes the
// table. Legacy iptables' tables go with their kernel module.

// freshMark ends the tag of a jump in a table that was not there before us.
const freshMark = "+"

// saved is what iptables-save prints, by table.
type saved map[string]savedTable

// A savedTable is a table: its chains, and its rules, "CHAIN ARGUMENTS".
type savedTable struct{ chains, rules []string }

// save lists every table there is.
func (f xfamily) save() (saved, error) {
	cmd := exec.Command(f.path + "-save")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return parseSave(out), nil
}

// parseSave reads what iptables-save prints.
func parseSave(b []byte) saved {
	all := make(saved)
	var name string
	for l := range strings.Lines(string(b)) {
		l = strings.TrimSuffix(l, "\n")
		t := all[name]
		switch {
		case strings.HasPrefix(l, "*"):
			name, t = l[1:], savedTable{}
		case strings.HasPrefix(l, ":"):
			chain, _, _ := strings.Cut(l[1:], " ")
			t.chains = append(t.chains, chain)
		case strings.HasPrefix(l, "-A "):
			t.rules = append(t.rules, l[len("-A "):])
		default:
			continue
		}
		all[name] = t
	}
	return all
}

// of are the arguments of the rules in chain.
func (t savedTable) of(chain string) []string {
	var all []string
	for _, r := range t.rules {
		if in, arguments, _ := strings.Cut(r, " "); in == chain {
			all = append(all, arguments)
		}
	}
	return all
}

// has says whether a table has the chain.
func (s saved) has(chain string) bool {
	for _, t := range s {
		if slices.Contains(t.chains, chain) {
			return true
		}
	}
	return false
}

// fresh returns which tables are not there but for runs of ours.
func (s saved) fresh() map[string]bool {
	all := make(map[string]bool)
	for _, h := range builtins() {
		t, there := s[h[0]]
		all[h[0]] = !there || slices.ContainsFunc(t.rules, func(r string) bool {
			return strings.Contains(r, freshMark+`" -j `+chainPrefix)
		})
	}
	return all
}

// tidy removes the table that was not there before us, with its chain, unless
// somebody has put something into either.
func (f xfamily) tidy(table, hook string) error {
	if err := f.DeleteChain(table, hook); err != nil {
		return nil // it is not empty, or iptables is the legacy one
	}
	return removeTable(table, f.v6)
}

// removeTable removes a table of nftables that nothing is in.
func removeTable(name string, v6 bool) error {
	const (
		deleteTable  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE
		tableName    = 1     // NFTA_TABLE_NAME
		notRecursive = 0x100 // NLM_F_NONREC: fail rather than empty it
	)
	family := uint8(unix.NFPROTO_IPV4)
	if v6 {
		family = unix.NFPROTO_IPV6
	}
	fd, err := openNetfilter()
	if err != nil {
		return fmt.Errorf("remove table %s: %w", name, err)
	}
	defer unix.Close(fd)
	var batch []byte
	batch = append(batch, netfilterRequest(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)...)
	batch = append(batch, netfilterRequest(deleteTable, unix.NLM_F_ACK|notRecursive, family, 0, appendAttribute(nil, tableName, append([]byte(name), 0)...))...)
	batch = append(batch, netfilterRequest(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)...)
	err = ask(fd, batch, func([]byte) {})
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT) {
		return nil // somebody needs it, or removed it
	}
	if err != nil {
		return fmt.Errorf("remove table %s: %w", name, err)
	}
	return nil
}
