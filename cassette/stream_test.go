package cassette

import (
	"bytes"
	"os"
	"runtime"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// A torrent is a body that is too large to be held, and a store for it.
type torrent struct {
	t     *testing.T
	s     *Store
	size  int64
	piece []byte
}

// TestLargeBodyStreams takes a body of 64 MiB (with SERGE_TEST_ALL 2 GiB) through
// all that happens to one, in each form, and holds that what is allocated on the
// way is a part of it: it is nowhere held.
func TestLargeBodyStreams(t *testing.T) {
	s, _ := newStore(t)
	b := torrent{t, s, 64 << 20, bytes.Repeat([]byte("0123456789abcdef"), 4<<10)}
	if os.Getenv("SERGE_TEST_ALL") != "" {
		b.size = 2 << 30
	}
	b.step("record as JSON", func() error { return b.record("text", JSON) })
	b.step("validate JSON", func() error { return b.valid("text") })
	b.step("replay JSON", func() error { return b.replay("text") })
	b.step("convert to MessagePack", func() error { return b.convert("text", MessagePack) })
	b.step("record as MessagePack", func() error { return b.record("twin", MessagePack) })
	b.step("validate MessagePack", func() error { return b.valid("twin") })
	b.step("replay MessagePack", func() error { return b.replay("twin") })
	b.step("record again", func() error { return b.record("twin", MessagePack) })
	b.step("convert to JSON", func() error { return b.convert("twin", JSON) })
}

// step does one thing and looks at what it allocates.
func (b *torrent) step(what string, do func() error) {
	b.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := do()
	runtime.ReadMemStats(&after)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(b.size)/2 {
		b.t.Errorf("%s allocates %d MiB for a body of %d MiB", what, took>>20, b.size>>20)
	}
}

func (b *torrent) record(name string, format Format) error {
	r, err := b.s.Record(name, RecordOptions{Format: format})
	if err != nil {
		return err
	}
	w, err := r.Open(origin())
	if err != nil {
		return err
	}
	tell := func(e exchange.Event) {
		e.Stream = 1
		if err := w.Event(e); err != nil {
			b.t.Fatal(err)
		}
	}
	tell(sends(exchange.KindHead, exchange.Event{Head: get("/big")}))
	tell(sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}))
	tell(says(exchange.KindHead, exchange.Event{Head: ok("Content-Type: application/zip")}))
	for n := int64(0); n < b.size; n += int64(len(b.piece)) {
		tell(says(exchange.KindData, exchange.Event{Data: b.piece}))
	}
	tell(says(exchange.KindEnd, exchange.Event{End: &exchange.End{}}))
	if err := w.Close(); err != nil {
		return err
	}
	_, err = r.Close(false)
	return err
}

func (b *torrent) replay(name string) error {
	c, err := b.s.Mount(name)
	if err != nil {
		return err
	}
	defer c.Close()
	y, err := playerOf(b.t, c, PlayOptions{}).Open(origin())
	if err != nil {
		return err
	}
	defer y.Close()
	var got int64
	hear := func(e exchange.Event) error {
		if e.Kind == exchange.KindData && !bytes.Equal(e.Data, b.piece[got%16:][:len(e.Data)]) {
			b.t.Errorf("byte %d and on are others", got)
		}
		got += int64(len(e.Data))
		return nil
	}
	for _, e := range []exchange.Event{
		sends(exchange.KindHead, exchange.Event{Head: get("/big")}),
		sends(exchange.KindEnd, exchange.Event{End: &exchange.End{}}),
	} {
		if err := y.Event(e, hear); err != nil {
			return err
		}
	}
	if got != b.size {
		b.t.Errorf("%s: %d bytes of %d are served", name, got, b.size)
	}
	return nil
}

func (b *torrent) valid(name string) error {
	if wrong := invalid(b.s, name); wrong != "" {
		b.t.Error(wrong)
	}
	return nil
}

func (b *torrent) convert(name string, to Format) error {
	_, err := b.s.Convert(name, name, to, func(int, int) {})
	return err
}
