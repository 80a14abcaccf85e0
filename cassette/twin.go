package cassette

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The twin of NAME.json is NAME.smpk: the same in a form that is found by an
// index, and appended to without being written again. It is twinMagic, the
// version and flags of two bytes each, and records as a journal has them:
//
//	u32 length of payload | u32 crc32c of type and payload | u8 type | payload
//
// Integers are little-endian. A commit is a meta record, what is new, an index
// segment, and a footer:
//
//	u64 where the segment's record is | u64 interactions up to here |
//	u32 crc32c of these, of the segment's head and of its fences | "SERGEIDX"
//
// A file that does not end in a footer was cut off, or is being appended to.
const (
	twinMagic   = "SERGEMPK"
	twinVersion = 1
	twinHead    = len(twinMagic) + 4
	footMagic   = "SERGEIDX"
	footSize    = 20 + len(footMagic)
)

// The types of a twin's records.
const (
	twinMeta        = iota // MessagePack: head, all of the JSON form but its interactions, and rest, those that are not exchanges
	twinInteraction        // MessagePack: an interaction
	twinBlob               // a piece of a body; all but the last are blobMost bytes long
	_                      // a dictionary for zstd, not in use
	twinIndex              // sections of the index: segmentHead, entries, fences
)

const (
	// blobMost bounds a piece of a body, in bytes: what is in memory of it while
	// it is written.
	blobMost = 1 << 20
	// inlineMost is how large a body may be to stand in its interaction's record.
	inlineMost = 4 << 10
	// segmentHead is the bytes of an index segment before its entries: u16
	// matcherVersion, u16 flags, u32 entries, u64 where the segment before this
	// one is (0: there is none), u64 where the newest meta record is.
	segmentHead = 24
)

// A twin is an open NAME.smpk. It is safe for concurrent use.
type twin struct {
	file     io.ReaderAt
	files    opener // the bodies folder, where the twin stands for a JSON file
	cassette *Cassette
	top      *node
	profiles map[string]Connection
	outside  *node      // sizes of the files of the bodies folder that it refers to
	sections []*section // oldest first; nil if the index is of another matcher
	count    int        // interactions
	last     int64      // where the newest index segment is; 0 if there is none
	end      int64      // of what is good, in bytes
	veiled   bool       // there are placeholders outside of header fields: what is taken for equal depends on all of them
	queued   bool       // there are conversations, or connections that failed, whose turn depends on all that was before
	torn     bool       // there is something behind end, or the last footer is missing
}

// openTwin reads what stands around the interactions of the twin in file. If
// held is set, a journal holds what lies behind the last commit, which does not
// count then.
func openTwin(file io.ReaderAt, size int64, files opener, held bool) (*twin, error) {
	t := &twin{file: file, files: files}
	head := make([]byte, twinHead)
	if _, err := file.ReadAt(head, 0); err != nil || string(head[:len(twinMagic)]) != twinMagic {
		return nil, fmt.Errorf("not a cassette in MessagePack: it begins with %q", head)
	}
	if v := binary.LittleEndian.Uint16(head[len(twinMagic):]); v > twinVersion {
		return nil, fmt.Errorf("%w: format %d of MessagePack needs a serge-net that reads it; this one reads up to %d", ErrVersion, v, twinVersion)
	}
	at, err := t.commit(size)
	if err != nil {
		if at, err = t.salvage(size, held); err != nil {
			return nil, err
		}
	}
	if err := t.readMeta(at); err != nil {
		return nil, err
	}
	return t, nil
}

// errNoCommit is what a file that does not end in a whole commit is read with.
var errNoCommit = errors.New("no commit ends here")

// commit reads the commit that ends at end, and returns where its meta is.
func (t *twin) commit(end int64) (int64, error) {
	foot := make([]byte, footSize)
	if end < int64(twinHead+footSize) {
		return 0, errNoCommit
	}
	if _, err := t.file.ReadAt(foot, end-int64(footSize)); err != nil || string(foot[20:]) != footMagic {
		return 0, errNoCommit
	}
	last := int64(binary.LittleEndian.Uint64(foot))
	s, err := t.segment(last, end)
	if err != nil {
		return 0, err
	}
	if castagnoli(castagnoli(0, foot[:16]), s.covered()) != binary.LittleEndian.Uint32(foot[16:]) {
		return 0, errNoCommit
	}
	t.count, t.last, t.end = int(binary.LittleEndian.Uint64(foot[8:])), last, end
	return s.meta, t.chain(s)
}

// chain collects the sections of segment s and of those before it.
func (t *twin) chain(s *segmentOf) error {
	t.sections = nil
	usable := true
	for at := t.last; ; {
		usable = usable && s.matcher == matcherVersion
		t.sections = append([]*section{s.section}, t.sections...)
		before := s.section.before
		if before == 0 {
			break
		}
		if before >= at {
			return fmt.Errorf("index at %d names one behind it, at %d", at, before)
		}
		next, err := t.segment(before, at)
		if err != nil {
			return fmt.Errorf("index at %d: %w", before, err)
		}
		s, at = next, before
	}
	if !usable {
		t.sections = nil
	}
	return nil
}

// A segmentOf is an index segment's record.
type segmentOf struct {
	*section
	head    []byte
	fenced  []byte
	matcher uint16
	meta    int64
}

// covered is what a footer's sum covers of s.
func (s *segmentOf) covered() []byte { return append(s.head[:segmentHead:segmentHead], s.fenced...) }

// length is how long s's record is.
func (s *segmentOf) length() int64 {
	return int64(recordHead + segmentHead + s.n*entrySize + len(s.fenced))
}

// segment reads the head and the fences of the index segment at at, all of
// which is before end.
func (t *twin) segment(at, end int64) (*segmentOf, error) {
	b := make([]byte, recordHead+segmentHead)
	if at < int64(twinHead) || at > end-int64(len(b)) {
		return nil, errNoCommit
	}
	if _, err := t.file.ReadAt(b, at); err != nil {
		return nil, err
	}
	h := b[recordHead:]
	s := &segmentOf{head: h, matcher: binary.LittleEndian.Uint16(h), meta: int64(binary.LittleEndian.Uint64(h[16:]))}
	n := int(binary.LittleEndian.Uint32(h[4:]))
	pages := (n + pageSize - 1) / pageSize
	from := at + int64(len(b))
	if b[recordHead-1] != twinIndex || int64(n)*entrySize+int64(pages)*fenceSize > end-from {
		return nil, errNoCommit
	}
	s.fenced = make([]byte, pages*fenceSize)
	if _, err := t.file.ReadAt(s.fenced, from+int64(n)*entrySize); err != nil {
		return nil, err
	}
	s.section = &section{n: n, file: t.file, off: from, fences: make([]key, pages), before: int64(binary.LittleEndian.Uint64(h[8:]))}
	for i := range s.fences {
		s.fences[i] = readKey(s.fenced[i*fenceSize:])
	}
	return s, nil
}

// readMeta reads the meta record at at.
func (t *twin) readMeta(at int64) error {
	t.cassette = &Cassette{shapes: map[string]string{}}
	if at == 0 {
		t.top = &node{kind: '{'}
		return nil
	}
	b, err := t.payload(at, twinMeta, -1, nil)
	if err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	n, err := unpack(b)
	if err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	t.top, t.outside, t.veiled, t.queued = n.get("head"), n.get("outside"), n.text("veiled") == "true", n.text("queued") == "true"
	if t.top, err = migrate(t.top, migrations()); err != nil {
		return err
	}
	if t.cassette, t.profiles, err = fromTop(t.top); err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	for _, e := range n.get("rest").elements() {
		if err := t.cassette.readElement(e, t.profiles, t.opener); err != nil {
			return fmt.Errorf("meta: %w", err)
		}
	}
	return nil
}

// payload reads the record at at, which is of type typ, by way of buf if that is
// large enough. Its size is known, or -1.
func (t *twin) payload(at int64, typ byte, size int, buf []byte) (string, error) {
	b := buf
	if n := recordHead + max(size, 0); n <= len(buf) {
		b = buf[:n]
	} else {
		b = make([]byte, n)
	}
	if _, err := t.file.ReadAt(b, at); err != nil {
		return "", fmt.Errorf("read record at %d: %w", at, err)
	}
	n := int64(binary.LittleEndian.Uint32(b))
	switch {
	case b[recordHead-1] != typ || size >= 0 && n != int64(size):
		return "", fmt.Errorf("read record at %d: type %d of %d bytes, want %d of %d", at, b[recordHead-1], n, typ, size)
	case size < 0 && n > t.end-at-recordHead:
		return "", fmt.Errorf("read record at %d: %w", at, errTorn)
	case size < 0:
		b = append(b, make([]byte, n)...)
		if _, err := t.file.ReadAt(b[recordHead:], at+recordHead); err != nil {
			return "", fmt.Errorf("read record at %d: %w", at, err)
		}
	}
	if castagnoli(0, b[recordHead-1:]) != binary.LittleEndian.Uint32(b[4:]) {
		return "", fmt.Errorf("read record at %d: its checksum is wrong", at)
	}
	return string(b[recordHead:]), nil
}

// interaction reads what e stands for.
func (t *twin) interaction(e entry) (*Interaction, error) {
	i, err := t.bare(e, nil)
	if err != nil || i.key.of != nil {
		return i, err
	}
	return i, i.rekey(rules{})
}

// bare is interaction, but that the key may be left out. It reads by way of buf.
func (t *twin) bare(e entry, buf []byte) (*Interaction, error) {
	b, err := t.payload(e.at, twinInteraction, int(e.size), buf)
	if err != nil {
		return nil, err
	}
	if i, ok := t.quick(b, int(e.nth)); ok {
		return i, nil
	}
	return t.decode(b, int(e.nth))
}

// decode reads an interaction's payload, the nth.
func (t *twin) decode(b string, nth int) (*Interaction, error) {
	n, err := unpack(b)
	if err != nil {
		return nil, fmt.Errorf("interaction %d: %w", nth+1, err)
	}
	var one Cassette
	if err := one.readElement(n, t.profiles, t.opener); err != nil {
		return nil, fmt.Errorf("interaction %d%w", nth+1, err)
	}
	if len(one.Interactions) != 1 {
		return nil, fmt.Errorf("interaction %d is of kind %q", nth+1, n.text("kind"))
	}
	i := one.Interactions[0]
	i.src = withoutBodies(n)
	if i.Seq == 0 {
		i.Seq = nth + 1
	}
	return i, nil
}

// withoutBodies is n, an interaction as a twin has it, without what only a twin has.
func withoutBodies(n *node) *node {
	bare := func(b *node) *node {
		if b.isNull() || b.kind != '{' {
			return b
		}
		return b.without("bytes").without("blob").without("lean")
	}
	for _, key := range []string{"request", "response"} {
		if half := n.get(key); half != nil && half.get("body") != nil {
			n = n.with(key, half.with("body", bare(half.get("body"))))
		}
	}
	for _, key := range []string{"upgraded", "websocket", "tcp"} {
		talk := n.get(key)
		if talk == nil {
			continue
		}
		out := list()
		for _, e := range talk.get("messages").elements() {
			out.kids = append(out.kids, e.with("payload", bare(e.get("payload"))))
		}
		n = n.with(key, talk.with("messages", out))
	}
	return n
}

// blobName is how a body in the twin is asked of its opener: no file is called so.
func blobName(at, size int64) string { return fmt.Sprintf("blob:%d:%d", at, size) }

// opener opens a body in the twin, or a file of the bodies folder.
func (t *twin) opener(name string) (io.ReadCloser, error) {
	rest, ok := strings.CutPrefix(name, "blob:")
	if !ok {
		return t.files(name)
	}
	from, length, _ := strings.Cut(rest, ":")
	at, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(length, 10, 64)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(&blobReader{file: t.file, off: at, size: size}), nil
}

// blobBody is the body that a twin's node n refers to.
func blobBody(n *node, files opener) (Body, error) {
	at, size := n.number("blob"), n.number("size")
	if at < int64(twinHead) || size < 0 {
		return Body{}, fmt.Errorf("blob at %d of %d bytes", at, size)
	}
	open := func() (io.ReadCloser, error) { return files(blobName(at, size)) }
	return Body{Size: size, sum: n.text("sha256"), lean: n.text("lean") == "true", open: open}, nil
}

// A blobReader reads the pieces of a body.
type blobReader struct {
	file      io.ReaderAt
	off, size int64
	pos       int64
}

// Read reads up to the end of a piece.
func (r *blobReader) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	in := r.pos % blobMost
	n := min(int64(len(p)), blobMost-in, r.size-r.pos)
	k, err := r.file.ReadAt(p[:n], r.off+r.pos/blobMost*(blobMost+recordHead)+recordHead+in)
	r.pos += int64(k)
	if int64(k) == n {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return k, err
}
