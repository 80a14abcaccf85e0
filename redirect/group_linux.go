package redirect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groupsFrom is where free gids are looked for: above what people and systems
// give out, below 2^31, which some programs take for negative.
const groupsFrom, groupsTo = 1 << 30, 1 << 31

// freeGroup is a gid that has no name and that no process of ours has, for the
// command to be told by. It is mapped in this user namespace.
func freeGroup() (int, error) {
	if !capable(unix.CAP_SETGID) {
		return 0, &HintError{
			Err:  fmt.Errorf("%w: missing CAP_SETGID, by which the command gets a group that tells it from us", ErrUnsupported),
			Hint: "grant it (docker run --cap-add SETGID) or a writable cgroup v2, or use --backend netns",
		}
	}
	own, err := os.Getgroups()
	if err != nil {
		return 0, fmt.Errorf("our groups: %w", err)
	}
	from, to, err := mappedGroups()
	if err != nil {
		return 0, err
	}
	for range 1000 {
		gid := from + rand.IntN(to-from)
		_, err := user.LookupGroupId(strconv.Itoa(gid))
		var unknown user.UnknownGroupIdError
		if errors.As(err, &unknown) && !slices.Contains(own, gid) {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("%w: no gid from %d to %d is free", ErrUnsupported, from, to)
}

// mappedGroups are the gids to choose from: user_namespaces(7). Where only a few
// are mapped, the upper half of the longest range.
func mappedGroups() (from, to int, err error) {
	b, err := os.ReadFile("/proc/self/gid_map")
	if err != nil {
		return 0, 0, fmt.Errorf("gids of this user namespace: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var first, outside, count int
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n != 3 {
			continue
		}
		if first <= groupsFrom && first+count >= groupsTo {
			return groupsFrom, groupsTo, nil
		}
		if count/2 > to-from {
			from, to = first+count/2, first+count
		}
	}
	if to-from < 2 {
		return 0, 0, &HintError{
			Err:  fmt.Errorf("%w: this user namespace maps one group, and the command needs one of its own", ErrUnsupported),
			Hint: "map a range of gids (newgidmap, /etc/subgid), or use --backend netns",
		}
	}
	return from, to, nil
}
