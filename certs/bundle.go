package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
)

// A block is one certificate found in PEM text, or what stands in its place.
type block struct {
	line int    // of its BEGIN, from 1
	der  []byte // the certificate alone
	text []byte // one PEM block, with a newline at its end
	err  error  // what is wrong with it; der and text are nil
}

// blocks yields the certificates of PEM text in order. Other kinds of blocks
// and text between blocks are passed over. It does not parse the certificates:
// that would cost more than all the rest of a start.
func blocks(data []byte) iter.Seq[block] {
	return func(yield func(block) bool) {
		line := 1
		for {
			at := bytes.Index(data, []byte(begin))
			if at < 0 {
				return
			}
			line += bytes.Count(data[:at], []byte{'\n'})
			data = data[at:]
			b, n := readBlock(data)
			b.line = line
			if (b.der != nil || b.err != nil) && !yield(b) {
				return
			}
			line += bytes.Count(data[:n], []byte{'\n'})
			data = data[n:]
		}
	}
}

// The marks that PEM puts around a label, RFC 7468, section 2.
const (
	begin = "-----BEGIN "
	end   = "-----END "
	dash  = "-----"
)

// readBlock reads the block that data begins with and returns how long it is.
// A block that is no certificate is returned empty.
func readBlock(data []byte) (block, int) {
	head, _, _ := bytes.Cut(data[len(begin):], []byte{'\n'})
	label, _, found := bytes.Cut(head, []byte(dash))
	if !found {
		return block{}, len(begin)
	}
	trusted := string(label) == "TRUSTED CERTIFICATE"
	if !trusted && string(label) != "CERTIFICATE" && string(label) != "X509 CERTIFICATE" {
		return block{}, len(begin)
	}
	start := len(begin) + len(label) + len(dash)
	body, after := data[start:], len(data)
	if next := bytes.Index(body, []byte(begin)); next >= 0 {
		body, after = body[:next], start+next
	}
	foot := end + string(label) + dash
	size := bytes.Index(body, []byte(foot))
	if size < 0 {
		return block{err: errors.New("has no END")}, after
	}
	body, after = body[:size], start+size+len(foot)
	der := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Decode(der, body)
	odd := trusted || err != nil || len(label) != len("CERTIFICATE")
	if err != nil { // other programs let spaces pass, so we do
		n, err = base64.StdEncoding.Decode(der, bytes.Join(bytes.Fields(body), nil))
	}
	if err != nil {
		return block{err: err}, after
	}
	der, err = certificate(der[:n], trusted)
	if err != nil {
		return block{err: err}, after
	}
	if odd {
		return block{der: der, text: encode(der)}, after
	}
	return block{der: der, text: append(data[:after:after], '\n')}, after
}

// encode is der as a PEM block.
func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// bundle is a set of root certificates in the order in which they were added.
type bundle struct {
	ders [][]byte
	text []byte // PEM
	seen map[string]bool
}

// add puts one root into b unless it is there.
func (b *bundle) add(der, text []byte) {
	if b.seen[string(der)] {
		return
	}
	if b.seen == nil {
		b.seen = make(map[string]bool)
	}
	b.seen[string(der)] = true
	b.ders = append(b.ders, der)
	b.text = append(b.text, text...)
}

// addPEM puts every certificate in data into b and returns how many it found
// and what is wrong with the others, one error each, which name file and line.
func (b *bundle) addPEM(file string, data []byte) (n int, faults []error) {
	for c := range blocks(data) {
		if c.err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: certificate %w", file, c.line, c.err))
			continue
		}
		b.add(c.der, c.text)
		n++
	}
	return n, faults
}

// addDER puts certificates in DER into b.
func (b *bundle) addDER(ders [][]byte) {
	for _, der := range ders {
		if !b.seen[string(der)] {
			b.add(der, encode(der))
		}
	}
}

// joined is PEM text a followed by PEM text b, on a line of its own.
func joined(a, b []byte) []byte {
	out := make([]byte, 0, len(a)+1+len(b))
	out = append(out, a...)
	if len(a) > 0 && a[len(a)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, b...)
}
