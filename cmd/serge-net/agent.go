package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// The units that --print-unit prints, for /usr/local/bin/serge-net.
var (
	//go:embed unit/serge-net-agent.service
	serviceUnit string
	//go:embed unit/serge-net-agent.socket
	socketUnit string
)

// installedAt is where the units expect this program.
const installedAt = "/usr/local/bin/serge-net"

// agentSocket is where the agent listens: for who is one, and who asks one.
func agentSocket() string {
	if path := os.Getenv("SERGE_AGENT"); path != "" {
		return path
	}
	return redirect.AgentSocket
}

func agentCommand() *cobra.Command {
	var socket, unit string
	var perUser int
	c := &cobra.Command{
		Use:   "agent [flags]",
		Short: "give ordinary users the ebpf lane",
		Long: `agent loads the hooks of the ebpf lane for users that may not, and puts their
commands into cgroups that have them. run, record and replay ask it by themselves
where it is needed. It serves each user for processes of their own. It runs as
root, and of root's capabilities needs CAP_BPF and CAP_NET_ADMIN.`,
		Example: `  sudo serge-net agent                                 until Ctrl-C
  for u in service socket; do                          by systemd, when it is asked
    serge-net agent --print-unit $u | sudo tee /etc/systemd/system/serge-net-agent.$u
  done
  sudo systemctl daemon-reload && sudo systemctl enable --now serge-net-agent.socket`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case unit != "":
				return printUnit(c.OutOrStdout(), unit)
			case perUser < 1:
				return hint(fmt.Errorf("--per-user: %d is less than 1", perUser), "serge-net help agent lists its flags")
			}
			return serveAgent(c, socket, perUser)
		},
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&socket, "socket", agentSocket(), "listen at `PATH`; SERGE_AGENT sets it for agent and run")
	s.IntVar(&perUser, "per-user", 32, "serve a user `N` runs at a time; root is not limited")
	s.StringVar(&unit, "print-unit", "", "print a unit for systemd, and do nothing else")
	choices(c, "print-unit", "service", "socket")
	c.MarkFlagFilename("socket")
	return c
}

// serveAgent is an agent until SIGINT or SIGTERM.
func serveAgent(c *cobra.Command, socket string, perUser int) error {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := inherited(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"))
	if l == nil && err == nil {
		l, err = redirect.ListenAgent(socket)
	}
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	log.Info("listening", "socket", l.Addr().String(), "version", versionName())
	a := redirect.Agent{Listener: l, Log: log, PerUser: perUser}
	return a.Serve(ctx)
}

// inherited is the socket that systemd passed to the process pid, as
// sd_listen_fds(3) has it; nil if it passed none.
func inherited(pid, fds string) (*net.UnixListener, error) {
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if fds != "1" {
		return nil, hint(fmt.Errorf("systemd passed %s sockets; want 1", fds), "the socket unit has one ListenSequentialPacket=")
	}
	f := os.NewFile(3, "LISTEN_FDS")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("socket of systemd: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok || u.Addr().Network() != "unixpacket" {
		return nil, errors.Join(hint(fmt.Errorf("systemd passed a %s socket", l.Addr().Network()),
			"the socket unit has ListenSequentialPacket="), l.Close())
	}
	u.SetUnlinkOnClose(false) // it is systemd's
	return u, nil
}

// printUnit writes the unit of that kind, for this program where it is.
func printUnit(w io.Writer, kind string) error {
	text := socketUnit
	if kind == "service" {
		path, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		text = strings.Replace(serviceUnit, installedAt, path, 1)
	}
	_, err := io.WriteString(w, text)
	return err
}
