package cassette

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Finding is something that is wrong with a cassette.
type Finding struct {
	At      string // where in its JSON form, as a JSON pointer (RFC 6901); "" is all of it
	ID      string // of the interaction that it is about, "" if there is none
	Problem string
}

// String is the finding in one line.
func (f Finding) String() string {
	if f.At == "" {
		return f.Problem
	}
	return f.At + ": " + f.Problem
}

// Validate reads the cassette called name to its end, with every body file that
// it refers to, and returns how many interactions it holds and all that is wrong
// with them, in the order of the file. The error says that there is nothing to
// read: if there is no such cassette, it is fs.ErrNotExist.
func (s *Store) Validate(name string) (int, []Finding, error) {
	if err := checkName(name); err != nil {
		return 0, nil, err
	}
	root, err := s.opened()
	if err != nil {
		return 0, nil, fmt.Errorf("validate cassette %s: %w", s.Path(name), err)
	}
	if there := s.present(root, name); len(there) == 1 && there[0] == MessagePack {
		return s.validateTwin(name)
	}
	b, in, err := s.text(root, name)
	if err != nil {
		return 0, nil, fmt.Errorf("validate cassette %w", err)
	}
	n, found := validate(b, s.files(root, in, name))
	return n, found, nil
}

// validate is Validate of the file b. It does not stop at the first interaction
// that cannot be read, as parse does.
func validate(b []byte, files opener) (int, []Finding) {
	top, err := parseTop(b)
	if err != nil {
		var bad *syntaxError
		if errors.As(err, &bad) {
			line, col := position(b, bad.off)
			err = fmt.Errorf("line %d, column %d: %w", line, col, err)
		}
		return 0, []Finding{placed("", "", err)}
	}
	c := &Cassette{shapes: map[string]string{}}
	c.readRest(top)
	profiles := readProfiles(top)
	var found []Finding
	seen := map[string]string{} // where an ID was seen first
	all := top.get("interactions").elements()
	for n, e := range all {
		at, id := "/interactions/"+strconv.Itoa(n), e.text("id")
		if first, twice := seen[id]; twice && id != "" {
			found = append(found, Finding{at + "/id", id, "is that of " + first + " too"})
		} else {
			seen[id] = at
		}
		if label := e.text("connection"); label != "" && top.get("connections").get(label) == nil {
			found = append(found, Finding{at + "/connection", id, fmt.Sprintf("/connections has no %q", label)})
		}
		before := len(c.Interactions)
		err := c.readElement(e, profiles, files)
		known := len(found)
		for _, i := range c.Interactions[before:] {
			found = append(found, i.damaged(at)...)
		}
		if err != nil && len(found) == known { // else that is why it cannot be read
			found = append(found, placed(at, id, err))
		}
	}
	return len(all), found
}

// damaged are the body files of i, which is at at, that are not what i says.
func (i *Interaction) damaged(at string) []Finding {
	var found []Finding
	for n, b := range i.bodies() {
		if err := b.verify(); err != nil {
			found = append(found, Finding{at + i.bodyAt(n), i.ID, err.Error()})
		}
	}
	return found
}

// bodyAt is where the n-th of i's bodies is in it.
func (i *Interaction) bodyAt(n int) string {
	switch {
	case n == 0:
		return "/request/body"
	case n == 1 && i.Response != nil:
		return "/response/body"
	case i.Response != nil:
		n--
	}
	member, _ := i.said()
	return "/" + member + "/messages/" + strconv.Itoa(n-1) + "/payload"
}

// placed is err as a finding. Errors of reading begin with the rest of the
// pointer to where they are.
func placed(at, id string, err error) Finding {
	where, problem, ok := strings.Cut(err.Error(), ": ")
	if ok && (where == "" || where[0] == '/') {
		return Finding{at + where, id, problem}
	}
	return Finding{at, id, err.Error()}
}
