package redirect

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// An unlinking is one transaction of nftables that removes rules, then chains,
// then tables. Where iptables is nftables' it does in one for all tables and both
// families what programs do in one each, after which the kernel has each of them
// wait until what was removed is freed: nft_rcv_nl_event, a grace period of RCU.
type unlinking struct {
	jumps  []*nftables.Rule
	chains []*nftables.Chain
	// empty are chains that the kernel calls, to be removed with their tables if
	// nothing is in either any more.
	empty []*nftables.Chain
}

// unlink removes the chains called names, the jumps to them, and the tables that
// were not there before us and have nothing else in them. It says false if the
// programs have to: iptables is the legacy one, or somebody has changed meanwhile
// what was to be removed.
//
// Who removes rules may be killed at it, as an init is whose cgroup the next start
// finds without its parent. The jump says that a table is ours: were the table not
// removed together with it, nobody would know any more.
func unlink(names ...string) bool {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return false
	}
	defer c.CloseLasting()
	u, err := findChains(c, names)
	return err == nil && len(u.chains) > 0 && u.commit() == nil
}

// findChains finds the chains called names and what leads there.
func findChains(c *nftables.Conn, names []string) (u unlinking, err error) {
	all, err := c.ListChains()
	if err != nil {
		return u, fmt.Errorf("list chains: %w", err)
	}
	others := make(map[nftables.Table]int) // chains in each table that neither are ours nor lead there
	for _, chain := range all {
		switch {
		case slices.Contains(names, chain.Name):
			u.chains = append(u.chains, chain)
		case slices.Contains(builtins(), [2]string{chain.Table.Name, chain.Name}):
			if err := u.findJumps(c, chain, names); err != nil {
				return u, err
			}
		default:
			others[*chain.Table]++
		}
	}
	u.empty = slices.DeleteFunc(u.empty, func(c *nftables.Chain) bool { return others[*c.Table] > 0 })
	return u, nil
}

// findJumps finds the rules of from that lead to the chains called names.
func (u *unlinking) findJumps(c *nftables.Conn, from *nftables.Chain, names []string) error {
	rules, err := c.GetRules(from.Table, from)
	if err != nil {
		return fmt.Errorf("list rules of %s: %w", from.Name, err)
	}
	found, marked := 0, false
	for _, r := range rules {
		if !jumps(r, names) {
			continue
		}
		r.Table, r.Chain = from.Table, from
		u.jumps = append(u.jumps, r)
		found++
		marked = marked || strings.HasSuffix(comment(r), freshMark)
	}
	accepts := from.Policy == nil || *from.Policy == nftables.ChainPolicyAccept
	if marked && accepts && found == len(rules) {
		u.empty = append(u.empty, from)
	}
	return nil
}

// jumps says whether r leads to one of the chains called names.
func jumps(r *nftables.Rule, names []string) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		v, ok := e.(*expr.Verdict)
		return ok && slices.Contains(names, v.Chain)
	})
}

// comment is what iptables' comment match of r says; older versions keep it
// beside the rule.
func comment(r *nftables.Rule) string {
	for _, e := range r.Exprs {
		if m, ok := e.(*expr.Match); ok && m.Name == "comment" {
			if c, ok := m.Info.(*xt.Comment); ok {
				return string(*c)
			}
		}
	}
	c, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	return c
}

// commit has the kernel do all of u or nothing.
func (u unlinking) commit() error {
	fd, err := openNetfilter()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return ask(fd, u.batch(), func([]byte) {})
}

// batch is u as the kernel gets it. Its answer is the first error, or that the
// last message is done, and with it all are.
func (u unlinking) batch() []byte {
	const (
		deleteTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELTABLE
		deleteChain = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELCHAIN
		deleteRule  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELRULE
		// All three kinds have the table as 1; the second attribute differs.
		table, ruleChain, ruleHandle, chainName = 1, 2, 3, 3

		notRecursive = 0x100 // NLM_F_NONREC: fail rather than empty it
	)
	b := netfilterRequest(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	last := 0
	add := func(kind, flags uint16, t *nftables.Table, attributes []byte) {
		last = len(b)
		b = append(b, netfilterRequest(kind, flags, byte(t.Family), 0, append(appendAttribute(nil, table, zeroed(t.Name)...), attributes...))...)
	}
	for _, r := range u.jumps {
		handle := binary.BigEndian.AppendUint64(nil, r.Handle)
		add(deleteRule, 0, r.Table, appendAttribute(appendAttribute(nil, ruleChain, zeroed(r.Chain.Name)...), ruleHandle, handle...))
	}
	for _, c := range u.chains {
		add(deleteChain, 0, c.Table, appendAttribute(nil, chainName, zeroed(c.Name)...))
	}
	for _, c := range u.empty {
		add(deleteChain, notRecursive, c.Table, appendAttribute(nil, chainName, zeroed(c.Name)...))
		add(deleteTable, notRecursive, c.Table, nil)
	}
	flags := binary.NativeEndian.Uint16(b[last+6:])
	binary.NativeEndian.PutUint16(b[last+6:], flags|unix.NLM_F_ACK)
	return append(b, netfilterRequest(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)...)
}

// zeroed is s as the kernel has strings.
func zeroed(s string) []byte { return append([]byte(s), 0) }
