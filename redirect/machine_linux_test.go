package redirect

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNamespaceReason tells what forbids user namespaces by what fork says.
func TestNamespaceReason(t *testing.T) {
	for _, c := range []struct {
		err       error
		why, hint string
	}{
		{unix.ENOSPC, "user.max_user_namespaces is ", "sysctl user.max_user_namespaces="},
		{unix.EUSERS, "nested too deep", "start further out"},
		{unix.EPERM, "refused: ", "chroot"},
		{unix.ENOMEM, "cannot allocate memory", ""},
	} {
		why, hint := namespaceReason(fmt.Errorf("fork: %w", c.err))
		if !strings.Contains(why, c.why) || !strings.Contains(hint, c.hint) {
			t.Errorf("namespaceReason(%v) = %q, %q; want %q, %q", c.err, why, hint, c.why, c.hint)
		}
	}
}

// TestInspect looks at this machine: each need is said, and one that is missing
// says what to do.
func TestInspect(t *testing.T) {
	m := Inspect(t.Context(), []string{asInit})
	if m.Kernel == "" || len(m.Needs) == 0 {
		t.Errorf("%+v", m)
	}
	for _, n := range m.Needs {
		if n.Name == "" || n.Found == "" || len(n.Lanes) == 0 || n.OK != (n.Hint == "") {
			t.Errorf("%+v: a name, what was found, who needs it, and a hint if it is missing", n)
		}
	}
}
