package cassette

import (
	"encoding/binary"
	"fmt"
	"io"
)

// scanTwin calls each with every record of file up to size, from from on, in
// order: its type, where it is, and its payload, which is nil for pieces of
// bodies and index segments, and valid during the call. It stops at the first
// record that is cut or damaged, and returns where that is: there is no error
// then.
func scanTwin(file io.ReaderAt, from, size int64, each func(typ byte, at int64, payload []byte) error) (int64, error) {
	head, foot := make([]byte, recordHead), make([]byte, footSize)
	buf, whole := make([]byte, 64<<10), []byte(nil)
	at := from
	for {
		if _, err := file.ReadAt(head, at); err != nil || at+recordHead > size {
			return at, nil
		}
		n, typ := int64(binary.LittleEndian.Uint32(head)), head[recordHead-1]
		next := at + recordHead + n
		if next > size {
			return at, nil
		}
		var payload []byte
		sum := castagnoli(0, head[recordHead-1:])
		r := io.NewSectionReader(file, at+recordHead, n)
		if typ == twinBlob || typ == twinIndex {
			for left := n; left > 0; {
				k, err := r.Read(buf)
				if k == 0 && err != nil {
					return at, err
				}
				sum, left = castagnoli(sum, buf[:k]), left-int64(k)
			}
		} else {
			if int64(cap(whole)) < n {
				whole = make([]byte, n)
			}
			payload = whole[:n]
			if _, err := io.ReadFull(r, payload); err != nil {
				return at, err
			}
			sum = castagnoli(sum, payload)
		}
		if sum != binary.LittleEndian.Uint32(head[4:]) {
			return at, nil
		}
		if err := each(typ, at, payload); err != nil {
			return at, err
		}
		at = next
		if typ != twinIndex {
			continue
		}
		if _, err := file.ReadAt(foot, at); err == nil && at+int64(footSize) <= size && string(foot[20:]) == footMagic {
			at += int64(footSize) // else the commit was cut in its footer
		}
	}
}

// salvage reads a file that does not end in a commit, as far as it is good: all
// that was committed, and what lies behind it unless that is held elsewhere. It
// returns where the newest meta is.
func (t *twin) salvage(size int64, held bool) (int64, error) {
	t.torn = true
	var meta, committed, seg int64
	var es []entry
	count, upTo := 0, 0
	end, err := scanTwin(t.file, int64(twinHead), size, func(typ byte, at int64, payload []byte) error {
		switch typ {
		case twinMeta:
			if count == upTo {
				meta = at
			}
		case twinInteraction:
			es = append(es, entry{nth: uint32(count), size: uint32(len(payload)), at: at})
			count++
		case twinIndex:
			seg, upTo, committed = at, count, meta
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if seg != 0 {
		s, err := t.segment(seg, end)
		if err != nil {
			return 0, err
		}
		t.last = seg
		if err := t.chain(s); err != nil {
			return 0, err
		}
		if held || count == upTo {
			t.count, t.end = upTo, seg+s.length()
			if end >= t.end+int64(footSize) {
				t.end += int64(footSize)
			}
			return committed, nil
		}
	}
	t.count, t.end = count, end
	if err := t.readMeta(meta); err != nil {
		return 0, err
	}
	if t.sections == nil && seg != 0 {
		return meta, nil // of another matcher: made in memory where it is needed
	}
	s, err := t.indexed(es[upTo:])
	if err != nil {
		return 0, err
	}
	s.before = t.last
	t.sections = append(t.sections, s)
	return meta, nil
}

// entries are where all interactions are, without their keys.
func (t *twin) entries() ([]entry, error) {
	var es []entry
	_, err := scanTwin(t.file, int64(twinHead), t.end, func(typ byte, at int64, payload []byte) error {
		if typ == twinInteraction && len(es) < t.count {
			es = append(es, entry{nth: uint32(len(es)), size: uint32(len(payload)), at: at})
		}
		return nil
	})
	return es, err
}

// indexed makes a section in memory of the interactions that es say where to find.
func (t *twin) indexed(es []entry) (*section, error) {
	for n, e := range es {
		i, err := t.interaction(e)
		if err != nil {
			return nil, err
		}
		es[n] = entryOf(i, &i.key)
		es[n].nth, es[n].size, es[n].at = e.nth, e.size, e.at
	}
	sortEntries(es)
	return &section{n: len(es), held: es}, nil
}

// each calls f with every interaction, in order.
func (t *twin) each(f func(*Interaction) error) error {
	n := 0
	_, err := scanTwin(t.file, int64(twinHead), t.end, func(typ byte, at int64, payload []byte) error {
		if typ != twinInteraction || n >= t.count {
			return nil
		}
		i, err := t.decode(string(payload), n)
		if err != nil {
			return fmt.Errorf("record at %d: %w", at, err)
		}
		n++
		return f(i)
	})
	if err == nil && n != t.count {
		err = fmt.Errorf("only %d of %d interactions can be read", n, t.count)
	}
	return err
}

// verify reads every record and every body, and says what is wrong with them,
// and whether the index finds all.
func (t *twin) verify() []Finding {
	var found []Finding
	wrong := func(format string, args ...any) {
		found = append(found, Finding{Problem: fmt.Sprintf(format, args...)})
	}
	if t.torn {
		wrong("it was cut off at byte %d: %d interactions are whole; the next recording mends it", t.end, t.count)
	}
	end, err := scanTwin(t.file, int64(twinHead), t.end, t.footed)
	switch {
	case err != nil:
		wrong("%v", err)
	case end != t.end:
		wrong("the record at byte %d is damaged", end)
	}
	n := 0
	err = t.each(func(i *Interaction) error {
		for k, b := range i.bodies() {
			if err := b.sound(); err != nil {
				found = append(found, Finding{fmt.Sprintf("/interactions/%d%s", n, i.bodyAt(k)), i.ID, err.Error()})
			}
		}
		n++
		return nil
	})
	if err != nil && end == t.end {
		wrong("%v", err)
	}
	indexed := 0
	for _, s := range t.sections {
		indexed += s.n
	}
	if t.sections != nil && indexed != t.count {
		wrong("the index finds %d of %d interactions", indexed, t.count)
	}
	return found
}

// footed says what is wrong with the footer behind the record at at, if that is
// an index segment with a footer.
func (t *twin) footed(typ byte, at int64, _ []byte) error {
	if typ != twinIndex {
		return nil
	}
	s, err := t.segment(at, t.end)
	if err != nil {
		return fmt.Errorf("the index at byte %d: %w", at, err)
	}
	end := at + s.length() + int64(footSize)
	magic := make([]byte, len(footMagic))
	if _, err := t.file.ReadAt(magic, end-int64(len(magic))); err != nil || string(magic) != footMagic {
		return nil
	}
	if _, err := (&twin{file: t.file}).commit(end); err != nil {
		return fmt.Errorf("the footer of the index at byte %d: %w", at, err)
	}
	return nil
}

// sound reads b and says whether it has the sum that is kept of it.
func (b Body) sound() error {
	if b.open == nil || b.sum == "" {
		return nil
	}
	want := b.sum
	b.sum = ""
	got, err := b.Sum()
	if err == nil && got != want {
		err = fmt.Errorf("body of %d bytes has sha256 %s, want %s", b.Size, got, want)
	}
	return err
}
