package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// script binds the small internet's resolver files over the system's in a mount
// namespace of its own, and becomes the command. Every other mount, cgroups
// too, is as outside.
const script = `mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"`

// Command returns a command that runs inside the client's namespace, resolves
// names by the small internet's DNS server, and is killed when the test
// ends. The process that Start makes becomes the command without forking: its
// pid, signals, terminal and exit code are the command's. Its environment is
// the test's without what names a proxy or a trust store.
func (n *Net) Command(name string, args ...string) *exec.Cmd {
	wrap := []string{
		"--net=" + fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.link.client)), "--",
		"unshare", "--mount", "--propagation", "slave", "--",
		"sh", "-c", script, "testnet", filepath.Join(n.dir, "resolv.conf"), filepath.Join(n.dir, "nsswitch.conf"), name,
	}
	cmd := exec.CommandContext(n.tb.Context(), "nsenter", append(wrap, args...)...)
	cmd.Env = cleanEnv(os.Environ())
	return cmd
}

// cleanEnv is env without the variables that send programs to a proxy, or that
// tell them whom to trust.
func cleanEnv(env []string) []string {
	unwanted := []string{
		"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS",
		"GIT_SSL_CAINFO", "PIP_CERT", "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO", "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE",
		"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "DENO_CERT", "WGETRC", "CURL_HOME",
		"JAVA_TOOL_OPTIONS", "GODEBUG", "RES_OPTIONS", "LOCALDOMAIN", "RESOLV_HOST_CONF",
	}
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasSuffix(strings.ToLower(name), "_proxy") || slices.Contains(unwanted, name)
	})
}
