package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/cassette/foreign"
)

// An importing is what import is asked to do.
type importing struct {
	file, format, name           string
	dir                          rack
	replace, add, encrypt, quiet bool
}

func importCommand() *cobra.Command {
	var m importing
	var named bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "make a cassette of another tool's recording",
		Long: `import makes a cassette of what another tool recorded: HAR (browsers, Polly,
mitmproxy), VCR, vcrpy, go-vcr, WireMock (a file or its directory), Hoverfly,
mitmproxy's flows, nock, magneto-serge. The format is told by the content. What cannot be
carried is listed; secrets are replaced as in any recording; what a tool matches
by pattern becomes rules of matching.`,
		Example: `  serge-net import session.har
  serge-net import spec/cassettes/login.yml --cassette login
  serge-net import wiremock/ --cassette api --replace`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return hint(errors.New("name one file to import"), "serge-net import FILE; serge-net help import lists the formats")
			}
			named = c.Flags().Changed("cassette") // and not by the configuration, which is for runs
			return nil
		},
		RunE: withConfig(func(c *cobra.Command, args []string) error {
			m.file = args[0]
			if !named {
				m.name = strings.TrimSuffix(filepath.Base(filepath.Clean(m.file)), filepath.Ext(m.file))
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return m.run(ctx, c.ErrOrStderr())
		}),
	}
	s := c.Flags()
	s.SortFlags = false
	s.StringVar(&m.format, "format", "auto", "what FILE is in; auto tells it by the content")
	s.StringVar(&m.name, "cassette", "", "the cassette's `NAME`; that of FILE without its ending if it is not given")
	m.dir.register(c)
	s.BoolVar(&m.encrypt, "encrypt", false, "encrypt the cassette, with the key of SERGE_KEY or --key-file")
	s.BoolVar(&m.replace, "replace", false, "replace a cassette of that name")
	s.BoolVar(&m.add, "append", false, "add to a cassette of that name")
	s.BoolVarP(&m.quiet, "quiet", "q", false, "say nothing but what needs attention")
	makeOwn(c, "format")
	choices(c, "format", append([]string{"auto"}, foreign.Formats()...)...)
	c.RegisterFlagCompletionFunc("cassette", completeCassettes)
	c.MarkFlagsMutuallyExclusive("replace", "append")
	return c
}

// run imports m.file. If ctx ends before all is told, what was told is kept as a
// recording that was cut off is.
func (m *importing) run(ctx context.Context, stderr io.Writer) error {
	rec, files, err := m.read(stderr)
	if err != nil {
		return err
	}
	defer files.Close() // what is large is read again when it is told
	store, err := m.dir.open()
	if err != nil {
		return err
	}
	defer store.Close()
	say := newReport(stderr, false)
	for _, n := range rec.Notes {
		say.warnf("import: %s", n)
	}
	if len(rec.Exchanges) == 0 {
		return hint(fmt.Errorf("%s: holds no exchange that can be carried", m.file), "the lines above say why; without any, the file is empty")
	}
	if err := m.vacant(store); err != nil {
		return err
	}
	before := footprintOf(append(store.Paths(m.name), upTo(m.dir.dir)...))
	sum, err := m.tell(ctx, store, rec, stderr)
	before.own(append(store.Paths(m.name), upTo(m.dir.dir)...))
	if err != nil {
		return err
	}
	if !m.quiet {
		say.warnf("%s (%s) -> %s: %s carried%s, %s", m.file, rec.Format, store.Path(m.name), interactions(len(rec.Exchanges)), rulesOf(rec), notCarried(rec.Notes))
		if !sum.Changed {
			say.warnf("%s says the same already: not touched", store.Path(m.name))
		}
	}
	return nil
}

// rulesOf says how many rules of matching came with rec.
func rulesOf(rec *foreign.Recording) string {
	switch n := len(rec.Rules); n {
	case 0:
		return ""
	case 1:
		return ", with 1 rule of matching"
	default:
		return fmt.Sprintf(", with %d rules of matching", n)
	}
}

// notCarried is how much of a recording was not carried.
func notCarried(notes []foreign.Note) string {
	n := 0
	for _, one := range notes {
		n += one.Count
	}
	if n == 0 {
		return "nothing lost"
	}
	return fmt.Sprintf("%d things lost or changed, listed above", n)
}

// read reads m.file, with the files that it refers to in its own directory, which
// the caller closes.
func (m *importing) read(stderr io.Writer) (*foreign.Recording, io.Closer, error) {
	dir, name := filepath.Split(filepath.Clean(m.file))
	info, err := os.Stat(m.file)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("import: %w", err)
	case info.IsDir():
		dir, name = m.file, "."
	case filepath.Base(filepath.Clean(dir)) == "mappings": // of WireMock: its __files lie beside
		name = "mappings/" + name
		dir = filepath.Dir(filepath.Clean(dir))
	}
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	format := m.format
	if format == "auto" {
		format = ""
	}
	progress := newProgress(stderr, "read", int(info.Size()))
	rec, err := foreign.Read(watchedFS{root.FS(), name, progress}, name, format)
	progress.end()
	if err == nil {
		return rec, root, nil
	}
	root.Close()
	if errors.Is(err, foreign.ErrFormat) {
		return nil, nil, hint(fmt.Errorf("import %s: %w", dir, err), "--format says which it is: %s", strings.Join(foreign.Formats(), ", "))
	}
	return nil, nil, fmt.Errorf("import: in %s: %w", dir, err)
}

// vacant says whether the cassette may be written.
func (m *importing) vacant(store *cassette.Store) error {
	_, err := store.Load(m.name)
	switch {
	case errors.Is(err, cassette.ErrName):
		return err
	case errors.Is(err, fs.ErrNotExist) || m.replace || m.add:
		return nil
	}
	return hint(fmt.Errorf("%s is there already", store.Path(m.name)), "--replace or --append says what becomes of it; --cassette NAME writes another")
}

// tell makes a cassette of rec.
func (m *importing) tell(ctx context.Context, store *cassette.Store, rec *foreign.Recording, stderr io.Writer) (cassette.Summary, error) {
	start := rec.Start
	if start.IsZero() {
		start = time.Now()
	}
	r, err := store.Record(m.name, cassette.RecordOptions{With: "serge-net " + versionName() + ", imported from " + rec.Format, Append: m.add, Encrypt: m.encrypt, Start: start})
	if err != nil {
		return cassette.Summary{}, err
	}
	progress := newProgress(stderr, "import", len(rec.Exchanges))
	told := rec.Tell(r, func(n int) error { progress.at(n); return ctx.Err() })
	progress.end()
	sum, err := r.Close(told != nil)
	if told != nil {
		return sum, fmt.Errorf("import %s: %w; what was imported until then is marked incomplete", m.file, told)
	}
	if err == nil && len(rec.Rules) > 0 {
		var more bool
		more, err = store.Accept(m.name, cassette.Rules{Match: rec.Rules})
		sum.Changed = sum.Changed || more
	}
	return sum, err
}
