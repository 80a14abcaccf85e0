package redirect

import (
	"log/slog"
	"net"
)

// AgentSocket is where an agent listens if it is not told.
const AgentSocket = "/run/serge-net/agent.sock"

// An Agent gives the ebpf lane to processes that may not have it by themselves:
// it loads the hooks, and puts init, and so the command, into a cgroup that has
// them. It runs as uid 0 with CAP_BPF and CAP_NET_ADMIN, which is enough, as the
// directories of cgroups are root's. See docs/agent.md for whom it serves, and what
// it trusts: nothing that a client says.
type Agent struct {
	// Log is told of each diversion, and of each request that is refused.
	Log *slog.Logger
	// PerUser is how many clients of one user are served at a time; root is
	// not limited. Zero means 32.
	PerUser int
	// Listener is where clients connect, SOCK_SEQPACKET. Serve closes it.
	Listener *net.UnixListener
}

// perUser is PerUser as it is meant.
func (a *Agent) perUser() int {
	if a.PerUser == 0 {
		return 32
	}
	return a.PerUser
}
