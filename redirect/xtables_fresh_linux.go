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

// save lists every table there is, for each family.
func (x xtables) save() ([]saved, error) {
	cmds := make([]*exec.Cmd, len(x))
	for n, f := range x {
		cmds[n] = exec.Command(f.path + "-save")
	}
	printed, err := together(cmds)
	all := make([]saved, len(x))
	for n, p := range printed {
		all[n] = parseSave(p)
	}
	return all, err
}

// parseSave reads what iptables-save prints.
func parseSave(text string) saved {
	all := make(saved)
	var name string
	for l := range strings.Lines(text) {
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

// A base is a chain that the kernel calls, alone in its table but for ours.
type base struct {
	table, chain string
	v6           bool
}

// tidy removes the tables that were not there before us, with their chains,
// unless somebody has put something into either. A socket's end waits until the
// kernel has freed what was removed, so that all end together.
func tidy(all []base) error {
	var errs []error
	for _, b := range all {
		fd, err := openNetfilter()
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		defer unix.Close(fd)
		if err := b.remove(fd); err != nil {
			errs = append(errs, fmt.Errorf("remove table %s: %w", b.table, err))
		}
	}
	return errors.Join(errs...)
}

// remove removes chain and table, or neither, by nftables. Legacy iptables has
// none of them there.
func (b base) remove(fd int) error {
	const (
		deleteTable  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE
		deleteChain  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELCHAIN
		tableName    = 1     // NFTA_TABLE_NAME
		chainTable   = 1     // NFTA_CHAIN_TABLE
		chainName    = 3     // NFTA_CHAIN_NAME
		notRecursive = 0x100 // NLM_F_NONREC: fail rather than empty it
	)
	family := uint8(unix.NFPROTO_IPV4)
	if b.v6 {
		family = unix.NFPROTO_IPV6
	}
	table, chain := append([]byte(b.table), 0), append([]byte(b.chain), 0)
	batch := netfilterRequest(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	batch = append(batch, netfilterRequest(deleteChain, notRecursive, family, 0,
		appendAttribute(appendAttribute(nil, chainTable, table...), chainName, chain...))...)
	batch = append(batch, netfilterRequest(deleteTable, unix.NLM_F_ACK|notRecursive, family, 0,
		appendAttribute(nil, tableName, table...))...)
	batch = append(batch, netfilterRequest(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)...)
	err := ask(fd, batch, func([]byte) {}) // the first error, or that all is done
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT) {
		return nil // somebody needs it, or removed it
	}
	return err
}
