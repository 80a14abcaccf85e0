package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A tomlKey is a key of a TOML document and where it is set.
type tomlKey struct {
	name     string // with its tables, dots between
	from, to int    // of "key = value", in bytes
	value    int    // where the value begins
}

// tomlKeys are the keys of doc, in order, and the ends of what each table sets:
// behind its last key, or behind its head.
func tomlKeys(doc []byte) (keys []tomlKey, ends map[string]int, err error) {
	p := unstable.Parser{}
	p.Reset(doc)
	ends = map[string]int{}
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		var name []string
		last := 0 // where the key ends
		for it := e.Key(); it.Next(); {
			n := it.Node()
			name = append(name, string(n.Data))
			last = int(n.Raw.Offset + n.Raw.Length)
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = strings.Join(name, ".") + "."
			ends[table] = last + bytes.IndexByte(doc[last:], ']') + len("]")
			if e.Kind == unstable.ArrayTable {
				ends[table]++
			}
		case unstable.KeyValue:
			k := tomlKey{name: table + strings.Join(name, "."), from: int(e.Raw.Offset), to: int(e.Raw.Offset + e.Raw.Length)}
			k.value = last + bytes.IndexByte(doc[last:], '=') + 1
			k.value += len(doc[k.value:k.to]) - len(bytes.TrimLeft(doc[k.value:k.to], " \t"))
			keys = append(keys, k)
			ends[table] = k.to
		}
	}
	return keys, ends, p.Error()
}

// keyLines are the lines, from 1, that keys, and anything in tables, are set at
// first.
func keyLines(doc []byte) (map[string]int, error) {
	keys, _, err := tomlKeys(doc)
	lines := map[string]int{}
	for _, k := range keys {
		line := bytes.Count(doc[:k.from], []byte("\n")) + 1
		for name := k.name; name != ""; name = name[:max(0, strings.LastIndexByte(name, '.'))] {
			if lines[name] == 0 {
				lines[name] = line
			}
		}
	}
	return lines, err
}

// setKey is doc with the key called name, in the table of that name, set to
// value, which is TOML. Everything else, comments and spaces, stays.
func setKey(doc []byte, table, name, value string) ([]byte, error) {
	keys, ends, err := tomlKeys(doc)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.name == table+"."+name {
			return splice(doc, k.value, k.to, value), nil
		}
	}
	line := name + " = " + value
	end, there := ends[table+"."]
	if !there {
		head := "[" + table + "]\n" + line + "\n"
		if len(doc) > 0 {
			head = "\n" + head
		}
		if len(doc) > 0 && !bytes.HasSuffix(doc, []byte("\n")) {
			head = "\n" + head
		}
		return splice(doc, len(doc), len(doc), head), nil
	}
	if n := bytes.IndexByte(doc[end:], '\n'); n >= 0 { // behind a comment on that line
		end += n
	} else {
		end = len(doc)
	}
	return splice(doc, end, end, "\n"+line), nil
}

// splice is doc with what is between from and to replaced.
func splice(doc []byte, from, to int, with string) []byte {
	return []byte(string(doc[:from]) + with + string(doc[to:]))
}

// tomlString is s as a TOML string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
