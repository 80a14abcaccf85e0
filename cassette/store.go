package cassette

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrName is wrapped by what a name that is none is refused with.
var ErrName = errors.New("cassette: not a cassette's name")

// A Store is a directory of cassettes. No name leads out of it. It is safe for
// concurrent use.
type Store struct {
	// Cache is the directory in which twins of large JSON cassettes are kept, so
	// that they need not be parsed each time; it is made. Empty means none. It is
	// set before the Store is used.
	Cache string

	dir string
	key *Key              // nil: encrypted cassettes are refused
	at  func(step string) // called before each step that changes a file, for tests; nil: by nobody

	mu   sync.Mutex
	root *os.Root // nil while the directory does not exist
}

// Open opens the directory of cassettes dir. It need not exist: the first
// recording makes it.
func Open(dir string) (*Store, error) {
	s := &Store{dir: filepath.Clean(dir)}
	if _, err := s.opened(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s, nil
}

// Unlock gives s the key of its encrypted cassettes, before anything else is
// done with it.
func (s *Store) Unlock(k *Key) { s.key = k }

// opened is the directory, fs.ErrNotExist if there is none yet.
func (s *Store) opened() (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil {
		return s.root, nil
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open cassette directory: %w", err)
	}
	s.root = root
	return root, nil
}

// made is the directory, made if there is none.
func (s *Store) made() (*os.Root, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cassette directory: %w", err)
	}
	return s.opened()
}

// Close lets go of the directory.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// An Entry is a cassette of a Store, unread.
type Entry struct {
	Name    string
	Format  Format // "" if it was never finished
	Size    int64  // of the cassette without its bodies folder, in bytes
	Changed time.Time
	// Recording says that a journal lies beside it: a recorder is at work, or
	// was cut off.
	Recording bool
	// Failed says that a recording which did not end well lies in .failed, and
	// did not replace this one.
	Failed bool
}

// List returns the cassettes by name. One that was never finished has size zero.
func (s *Store) List() ([]Entry, error) {
	root, err := s.opened()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]Entry{}
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		base := path.Base(p)
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(base, ".") || strings.HasSuffix(base, bodiesEnd)):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case strings.HasPrefix(base, ".") && strings.HasSuffix(base, journalEnd):
			name := path.Join(path.Dir(p), strings.TrimSuffix(base[1:], journalEnd))
			e := found[name]
			e.Name, e.Recording = name, true
			found[name] = e
		case !strings.HasPrefix(base, "."):
			return note(found, p, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list cassettes in %s: %w", s.dir, err)
	}
	out := make([]Entry, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		e := found[name]
		e.Failed = len(s.present(root, failedDir+"/"+name)) > 0
		out = append(out, e)
	}
	return out, nil
}

// note puts the cassette that is in the file at p, if one is, among those found.
func note(found map[string]Entry, p string, d fs.DirEntry) error {
	name, format, ok := cutFormat(p)
	if !ok {
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	found[name] = Entry{Name: name, Format: format, Size: info.Size(), Changed: info.ModTime(), Recording: found[name].Recording}
	return nil
}

const (
	bodiesEnd  = ".bodies"
	journalEnd = ".journal"
	failedDir  = ".failed"
)

// Path is where the cassette called name is, or would be, for messages.
func (s *Store) Path(name string) string {
	format := JSON
	if root, err := s.opened(); err == nil && checkName(name) == nil {
		if there := s.present(root, name); len(there) > 0 {
			format = there[0]
		}
	}
	return path.Join(s.dir, name+format.end())
}

// Paths are where the cassette called name and its failed recording are now:
// files, body files and the directories below the Store's that they are in. What
// is written later may be elsewhere: ask again.
func (s *Store) Paths(name string) []string {
	root, err := s.opened()
	if err != nil || checkName(name) != nil {
		return nil
	}
	var found []string
	for _, base := range []string{name, failedDir + "/" + name} {
		candidates := []string{base + bodiesEnd}
		for _, f := range slices.Backward(Formats()) {
			candidates = slices.Insert(candidates, 0, base+f.end())
		}
		for d := path.Dir(base); d != "."; d = path.Dir(d) {
			candidates = append(candidates, d)
		}
		files, _ := fs.ReadDir(root.FS(), base+bodiesEnd)
		for _, f := range files {
			candidates = append(candidates, base+bodiesEnd+"/"+f.Name())
		}
		for _, c := range candidates {
			if _, err := root.Lstat(c); err == nil {
				found = append(found, path.Join(s.dir, c))
			}
		}
	}
	return found
}

// Load reads the cassette called name. If there is none, the error is
// fs.ErrNotExist. A leftover journal is not looked at: see Recover.
func (s *Store) Load(name string) (*Cassette, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c, err := s.load(name)
	if err != nil {
		return nil, err
	}
	if err := s.checkFiles(name, c); err != nil {
		return nil, fmt.Errorf("load cassette: %w", inFile(s.Path(name), nil, err))
	}
	return c, nil
}

// load is Load of a checked name, which may lie among the failed ones. Body
// files are not looked at.
func (s *Store) load(name string) (*Cassette, error) {
	root, err := s.opened()
	if err != nil {
		return nil, fmt.Errorf("load cassette %s: %w", s.Path(name), err)
	}
	if there := s.present(root, name); len(there) == 1 && there[0] == MessagePack {
		return s.loadTwin(name)
	}
	c, err := s.read(root, name)
	if err != nil {
		return nil, err
	}
	if c.Name == "" {
		c.Name = name
	}
	return c, nil
}

// read reads the file of the cassette called name, whatever its form.
func (s *Store) read(root *os.Root, name string) (*Cassette, error) {
	text, b, err := s.text(root, name)
	if err != nil {
		return nil, fmt.Errorf("load cassette %w", err)
	}
	c, err := parse(text, s.files(root, b, name))
	if err != nil {
		return nil, fmt.Errorf("load cassette: %w", inFile(s.Path(name), text, err))
	}
	c.box = b
	return c, nil
}

// checkFiles says which body file of the cassette c, called name, is not there
// or was cut. What is in the others is not looked at: see Validate.
func (s *Store) checkFiles(name string, c *Cassette) error {
	root, err := s.opened()
	if err != nil {
		return err
	}
	for _, i := range c.Interactions {
		for _, b := range i.bodies() {
			if b.file == "" {
				continue
			}
			info, err := root.Stat(name + bodiesEnd + "/" + b.file)
			switch {
			case err != nil:
				return fmt.Errorf("interaction %d, %s: its body %s%s/%s: %v", i.Seq, i.Route(), path.Base(name), bodiesEnd, b.file, reason(err)) // not wrapped: the cassette does exist
			case info.Size() != c.box.bodySize(b.Size):
				return fmt.Errorf("interaction %d, %s: its body %s%s/%s has %d bytes, not %d", i.Seq, i.Route(), path.Base(name), bodiesEnd, b.file, info.Size(), c.box.bodySize(b.Size))
			}
		}
	}
	return nil
}

// reason is err without the operation and the path, which a Root gives from
// where it is.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// inFile adds to err where in the file at path it is and what to do.
func inFile(path string, b []byte, err error) error {
	const remedy = "mend it, or restore it from version control, or record again"
	var bad *syntaxError
	if errors.As(err, &bad) {
		line, col := position(b, bad.off)
		return fmt.Errorf("%s:%d:%d: %w; %s", path, line, col, err, remedy)
	}
	if errors.Is(err, ErrVersion) || errors.Is(err, ErrKey) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w; %s", path, err, remedy)
}

// checkName says why name cannot be a cassette's.
func checkName(name string) error {
	refuse := func(why string) error { return fmt.Errorf("%w: %q %s", ErrName, name, why) }
	switch {
	case name == "":
		return refuse("is empty")
	case !utf8.ValidString(name):
		return refuse("is not UTF-8")
	case strings.HasPrefix(name, "/"):
		return refuse("is absolute; names are relative to the cassette directory")
	case strings.ContainsAny(name, `\:`) || strings.ContainsFunc(name, unicode.IsControl):
		return refuse("has a backslash, a colon or a control character")
	}
	if _, format, ok := cutFormat(name); ok {
		return refuse("ends in " + format.end() + "; leave that out")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return refuse("leads out of the cassette directory")
		case part == "":
			return refuse("has an empty part")
		case strings.HasPrefix(part, "."):
			return refuse("has a part that begins with a dot")
		case strings.HasSuffix(part, bodiesEnd):
			return refuse("has a part that ends in .bodies, where bodies are kept")
		}
	}
	return nil
}

// journalName is where the journal of the cassette called name is.
func journalName(name string) string {
	dir, base := path.Split(name)
	return dir + "." + base + journalEnd
}
