package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "record a real client against an origin of our own, stop the origin, replay",
		Long: `demo starts a small origin (HTTP/1.1, HTTP/2, WebSocket, TLS by a CA that nobody knows) and a
DNS server for it, runs the clients that are installed here (curl, python3,
node) through record, stops the origin, and runs them again through replay. It
compares what they printed. Nothing is left behind.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "serge-net-demo-*")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			return (&demo{dir: dir, out: c.OutOrStdout()}).run(c.Context())
		},
	}
}

// A demo is one showing.
type demo struct {
	dir    string // ours, for the cassettes and what the clients print
	out    io.Writer
	origin *demoOrigin
}

// A demoClient is one program that asks the origin.
type demoClient struct {
	name string
	argv func(o *demoOrigin) []string
}

// demoClients are tried in order; those that are not installed are left out.
var demoClients = []demoClient{
	{"curl (HTTP/2)", func(o *demoOrigin) []string {
		return []string{"curl", "-sS", "--max-time", "10", o.url("https", "/users"), o.url("https", "/users/1")}
	}},
	{"curl (HTTP/1.1)", func(o *demoOrigin) []string {
		return []string{"curl", "-sS", "--http1.1", "--max-time", "10", o.url("http", "/users"), "-d", `{"name":"ada"}`, o.url("http", "/users")}
	}},
	{"python3", func(o *demoOrigin) []string {
		return []string{"python3", "-c", "import sys, urllib.request as u\nprint(u.urlopen(sys.argv[1]).read().decode())", o.url("https", "/events")}
	}},
	{"node (WebSocket)", func(o *demoOrigin) []string {
		return []string{"node", "-e", demoChat, o.url("http", "/chat")}
	}},
	{"node", func(o *demoOrigin) []string {
		return []string{"node", "-e", "fetch(process.argv[1]).then(r => r.text()).then(console.log)", o.url("https", "/users/2")}
	}},
}

// demoChat says a name in a WebSocket and prints what it hears. It sends its one
// frame itself: Node has no WebSocket of its own before version 22.
const demoChat = `
const headers = {Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": "c2VyZ2UtbmV0IGRlbW8hIQ=="};
require("http").get(process.argv[1], {headers}).on("upgrade", (response, socket) => {
  socket.on("data", frame => { console.log(frame.subarray(2).toString()); socket.end(); });
  socket.write(Buffer.from([0x81, 0x83, 0, 0, 0, 0, ...Buffer.from("ada")]));
})`

// run shows it.
func (d *demo) run(ctx context.Context) error {
	var err error
	if d.origin, err = startDemoOrigin(); err != nil {
		return err
	}
	defer d.origin.stop()
	ca := filepath.Join(d.dir, "ca.pem")
	if err := os.WriteFile(ca, d.origin.ca.PEM(), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "an origin serves %s and %s, with a certificate that no program here trusts\n", d.origin.url("https", "/"), d.origin.url("http", "/"))
	var clients []demoClient
	for _, c := range demoClients {
		if _, err := exec.LookPath(c.argv(d.origin)[0]); err == nil {
			clients = append(clients, c)
		}
	}
	if len(clients) == 0 {
		return hint(errors.New("demo: none of its clients is installed"), "apt-get install curl")
	}
	recorded, err := d.all(ctx, "record", clients)
	if err != nil {
		return err
	}
	hits := d.origin.hits.Load()
	d.origin.stop()
	fmt.Fprintf(d.out, "\nthe origin answered %d requests and is stopped now; the same commands again\n", hits)
	replayed, err := d.all(ctx, "replay", clients)
	if err != nil {
		return err
	}
	return d.compare(clients, recorded, replayed)
}

// all runs every client in mode and returns what each printed.
func (d *demo) all(ctx context.Context, mode string, clients []demoClient) ([][]byte, error) {
	var printed [][]byte
	for i, c := range clients {
		out, err := d.client(ctx, mode, fmt.Sprintf("demo-%d", i+1), c)
		if err != nil {
			return nil, fmt.Errorf("demo: %s %s: %w", mode, c.name, err)
		}
		fmt.Fprintf(d.out, "%-6s %-17s%4d bytes, sha256 %x…\n", mode, c.name, len(out), sha256Of(out)[:6])
		printed = append(printed, out)
	}
	return printed, nil
}

// client runs one client in mode.
func (d *demo) client(ctx context.Context, mode, name string, c demoClient) ([]byte, error) {
	stdout, err := os.Create(filepath.Join(d.dir, name+"."+mode))
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	flags := &runFlags{backend: "auto", dns: "pin", engineFlags: engineFlags{
		mode: mode, cassette: name, rack: rack{dir: filepath.Join(d.dir, "cassettes")}, onMiss: "fail",
		repeat: "auto", shiftDates: "on",
		upstreamCA: []string{filepath.Join(d.dir, "ca.pem")},
	}}
	var said bytes.Buffer
	r := newRunner(flags, c.argv(d.origin), newReport(&said, true))
	r.conf, r.stdout = d.origin.conf(), stdout
	err = r.run(ctx)
	var e *exit
	if !errors.As(err, &e) {
		return nil, err
	}
	if e.Code != 0 {
		return nil, fmt.Errorf("exit code %d\n%s", e.Code, said.Bytes())
	}
	return os.ReadFile(stdout.Name())
}

// compare says whether replay gave every client what record did.
func (d *demo) compare(clients []demoClient, recorded, replayed [][]byte) error {
	for i, c := range clients {
		if !bytes.Equal(recorded[i], replayed[i]) {
			return fmt.Errorf("demo: %s printed %q when recorded, and %q when replayed", c.name, recorded[i], replayed[i])
		}
	}
	fmt.Fprintf(d.out, "\nall %d printed the same bytes, offline; no proxy was set and no CA installed\n", len(clients))
	fmt.Fprintln(d.out, "yours: serge-net run -- COMMAND; serge-net run --help")
	return nil
}

// sha256Of is the hash of b.
func sha256Of(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// loopback is where the demo's servers listen.
var loopback = net.IPv4(127, 0, 0, 1)
