package testnet

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Gone takes the network away: every interface in the client's namespace but
// lo goes down.
func (n *Net) Gone() {
	n.tb.Helper()
	if err := n.link.cut(); err != nil {
		n.tb.Fatal(err)
	}
}

// Back undoes Gone for the uplink.
func (n *Net) Back() {
	n.tb.Helper()
	if err := n.link.addressClient(); err != nil {
		n.tb.Fatal(err)
	}
}

// cut sets every interface but lo down. The kernel removes their routes with them.
func (l *link) cut() error {
	h, err := netlink.NewHandleAt(l.client)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	all, err := h.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		if i.Attrs().Name == "lo" {
			continue
		}
		if err := h.LinkSetDown(i); err != nil {
			return fmt.Errorf("set %s down: %w", i.Attrs().Name, err)
		}
	}
	return nil
}
