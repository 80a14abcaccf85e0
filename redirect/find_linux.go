package redirect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sayPatience is how long another program may take to say where something is.
const sayPatience = 10 * time.Second

// FindCgroup returns the directory of the cgroup v2 that path means: that
// directory, or, as /proc/PID/cgroup and systemd write it, one below the root.
func FindCgroup(path string) (string, error) {
	root, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	if filepath.IsAbs(path) {
		if isCgroup(path) {
			return filepath.Clean(path), nil
		}
	}
	if below := filepath.Join(root, path); isCgroup(below) {
		return below, nil
	}
	return "", &HintError{
		Err:  fmt.Errorf("no cgroup v2 %s", path),
		Hint: "a directory, or a path below " + root + ": systemd-cgls lists them",
	}
}

// FindUnit returns the cgroup of the systemd unit called name, whose ending may
// be left out where it is .service or .scope.
func FindUnit(ctx context.Context, name string) (string, error) {
	root, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		out, err := say(ctx, "systemctl", "show", "--property=ControlGroup", "--value", "--", name)
		if err == nil && out != "" && out != "/" {
			return FindCgroup(out)
		}
	}
	found, err := unitsIn(root, name)
	if err != nil {
		return "", err
	}
	return only(found, "unit "+name, "a unit that does not run has no cgroup: systemctl status "+name)
}

// unitsIn are the cgroups below root that have the name of a unit.
func unitsIn(root, name string) ([]string, error) {
	if name == "" || strings.Contains(name, "/") {
		return nil, &HintError{Err: fmt.Errorf("%q is no name of a unit", name), Hint: "nginx, nginx.service, session-2.scope"}
	}
	return cgroupsBelow(root, func(base string) bool {
		return base == name || base == name+".service" || base == name+".scope"
	})
}

// FindContainer returns the cgroup of the container that has the id, of which
// the first letters do, or the name, for which docker or podman are asked.
func FindContainer(ctx context.Context, name string) (string, error) {
	root, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	hint := "the id is found here without docker or podman; neither of them runs here to be asked for a name"
	if !isID(name) || len(name) < shortID {
		for _, program := range []string{"docker", "podman"} {
			out, err := say(ctx, program, "inspect", "--type=container", "--format={{.Id}}", "--", name)
			if err != nil {
				continue
			}
			name = out
			break
		}
	}
	if !isID(name) {
		return "", &HintError{Err: fmt.Errorf("no container %q", name), Hint: hint}
	}
	found, err := containersIn(root, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		found = containersByProcess(name)
	}
	if slices.ContainsFunc(found, func(dir string) bool { return sameFile(dir, root) }) {
		return "", &HintError{
			Err:  fmt.Errorf("container %s has no cgroup v2 of its own", name),
			Hint: "attach to its first process: --pid $(docker inspect --format '{{.State.Pid}}' " + name + ")",
		}
	}
	return only(found, "container "+name, "docker ps and podman ps list those that run")
}

// shortID is how many letters of an id docker and podman show. Fewer may be a
// name.
const shortID = 12

// isID says whether s may be the id of a container, or the beginning of one, as
// docker and the others write it.
func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// containersIn are the cgroups below root of containers whose ids begin with
// id: docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope,
// or, where systemd does not manage cgroups, ID. Those of their monitors
// (libpod-conmon-ID.scope) are not theirs.
func containersIn(root, id string) ([]string, error) {
	return cgroupsBelow(root, func(base string) bool {
		base = strings.TrimSuffix(base, ".scope")
		if strings.Contains(base, "conmon") {
			return false
		}
		full := base[strings.LastIndexByte(base, '-')+1:]
		return len(full) == 64 && isID(full) && strings.HasPrefix(full, id)
	})
}

// containersByProcess are the cgroups v2 of processes that have id in a path of
// theirs: on a host where containers are told apart by cgroups v1.
func containersByProcess(id string) []string {
	var found []string
	all, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), id) || len(id) < shortID {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		dir, err := cgroupDir(pid)
		if err == nil && !slices.Contains(found, dir) {
			found = append(found, dir)
		}
	}
	return found
}

// cgroupsBelow are the directories below root whose names fit, but for those in
// one that does: a container's own cgroups may be called as it is.
func cgroupsBelow(root string, fits func(base string) bool) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if path == root && err != nil {
			return err
		}
		if err != nil || !e.IsDir() {
			return nil // gone meanwhile, or a file
		}
		if fits(e.Name()) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for cgroups: %w", err)
	}
	return found, nil
}

// only is the one that was found. What was looked for, and what to do where it
// is not there.
func only(found []string, what, hint string) (string, error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &HintError{Err: fmt.Errorf("no cgroup of %s", what), Hint: hint}
	}
	return "", &HintError{
		Err:  fmt.Errorf("%s fits %d cgroups", what, len(found)),
		Hint: "name one: --cgroup " + strings.Join(found, ", --cgroup "),
	}
}

// say runs another program and returns what it says, in one line.
func say(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sayPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(out))
	if strings.Contains(text, "\n") {
		return "", errors.New("more than one line")
	}
	return text, nil
}
