package descriptor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A source is a .proto file while it is read. What it does not need it skips:
// options, extensions, what is reserved, comments.
type source struct {
	set    *Set
	text   string
	at     int
	linked []func() // what is done when all files are read

	imports []string
}

// AddSource adds what the .proto file called name describes, and what it imports,
// which open gives by the name that is imported. An import of google/protobuf/ that
// open does not have is left out. Errors say the file and the line.
func (s *Set) AddSource(name string, open func(name string) ([]byte, error)) error {
	s.add()
	var linked []func()
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if seen[name] {
			return nil
		}
		seen[name] = true
		text, err := open(name)
		if err != nil {
			if strings.HasPrefix(name, "google/protobuf/") {
				return nil
			}
			return fmt.Errorf("import %s: %w", name, err)
		}
		p := &source{set: s, text: string(text)}
		if err := p.file(); err != nil {
			return fmt.Errorf("%s:%d: %w", name, 1+strings.Count(p.text[:min(p.at, len(p.text))], "\n"), err)
		}
		linked = append(linked, p.linked...)
		for _, n := range p.imports {
			if err := add(n); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(name); err != nil {
		return err
	}
	for _, f := range linked {
		f()
	}
	return nil
}

// errEnd is of a file that ends too early.
var errEnd = errors.New("the file ends in the middle")

// next is the next token, "" at the end: a word, with its dots, a number, a string
// with its quotes, or one other character.
func (p *source) next() string {
	p.space()
	from := p.at
	if from >= len(p.text) {
		return ""
	}
	switch c := p.text[p.at]; {
	case c == '"' || c == '\'':
		for p.at++; p.at < len(p.text) && p.text[p.at] != c && p.text[p.at] != '\n'; p.at++ {
			if p.text[p.at] == '\\' {
				p.at++
			}
		}
		p.at = min(p.at+1, len(p.text))
	case isWord(c):
		for p.at < len(p.text) && isWord(p.text[p.at]) {
			p.at++
		}
	default:
		_, n := utf8.DecodeRuneInString(p.text[p.at:])
		p.at += n
	}
	return p.text[from:p.at]
}

// isWord says whether c may be in a word.
func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// space skips white space and comments.
func (p *source) space() {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0, strings.HasPrefix(rest, "\ufeff"):
			_, n := utf8.DecodeRuneInString(rest)
			p.at += n
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			p.at += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				n = len(rest) - 4
			}
			p.at += n + 4
		default:
			return
		}
	}
}

// skip goes behind the statement of which tok is the last token that was read: its
// semicolon, or what is in its braces, but for those in brackets.
func (p *source) skip(tok string) error {
	for depth, brackets := 0, 0; ; tok = p.next() {
		switch tok {
		case "":
			return errEnd
		case "[":
			brackets++
		case "]":
			brackets--
		case "{":
			depth++
		case "}":
			if depth--; depth <= 0 && brackets <= 0 {
				return nil
			}
		case ";":
			if depth <= 0 {
				return nil
			}
		}
	}
}

// expect reads want.
func (p *source) expect(want string) error {
	if got := p.next(); got != want {
		return fmt.Errorf("%q stands where %q has to be", got, want)
	}
	return nil
}

// file reads all of it.
func (p *source) file() error {
	scope := ""
	for {
		var err error
		switch tok := p.next(); tok {
		case "":
			return nil
		case ";":
		case "package":
			scope = p.next()
			err = p.expect(";")
		case "import":
			name := p.next()
			for name == "public" || name == "weak" || name == "option" {
				name = p.next()
			}
			p.imports = append(p.imports, strings.Trim(name, `"'`))
			err = p.expect(";")
		case "message":
			err = p.message(p.next(), scope, 0)
		case "enum":
			err = p.enum(p.next(), scope)
		case "service":
			err = p.service(p.next(), scope)
		default:
			err = p.skip(tok)
		}
		if err != nil {
			return err
		}
	}
}

// message reads what is in one, behind its name.
func (p *source) message(name, scope string, depth int) error {
	if depth > deepest {
		return errors.New("messages are nested too deep")
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	m := &Message{Name: within(scope, name)}
	p.set.messages[m.Name] = m
	return p.members(m, depth)
}

// members reads the members of m, or of a oneof in it, up to the brace.
func (p *source) members(m *Message, depth int) error {
	for {
		var err error
		switch tok := p.next(); tok {
		case "}":
			return nil
		case "":
			return errEnd
		case ";":
		case "message":
			err = p.message(p.next(), m.Name, depth+1)
		case "enum":
			err = p.enum(p.next(), m.Name)
		case "oneof":
			p.next()
			if err = p.expect("{"); err == nil {
				err = p.members(m, depth)
			}
		case "option", "reserved", "extensions", "extend", "group":
			err = p.skip(tok)
		default:
			err = p.field(m, tok)
		}
		if err != nil {
			return err
		}
	}
}

// field reads a field of m, of which tok is the first token.
func (p *source) field(m *Message, tok string) error {
	f := Field{}
	for ; tok == "optional" || tok == "required" || tok == "repeated"; tok = p.next() {
		f.Repeated = f.Repeated || tok == "repeated"
	}
	if tok == "group" {
		return p.skip(tok)
	}
	scope := m.Name
	if tok == "map" {
		entry, err := p.entry(m)
		if err != nil {
			return err
		}
		f.Repeated, tok = true, "."+entry
	}
	f.Name = p.next()
	if err := p.expect("="); err != nil {
		return err
	}
	number, err := strconv.ParseUint(p.next(), 0, 29)
	if err != nil || f.Name == "" || !isWord(f.Name[0]) || !isWord(tok[0]) {
		return fmt.Errorf("%q is no field of %s", tok+" "+f.Name, m.Name)
	}
	f.Number, f.Kind = number, kindOf(tok)
	n := len(m.Fields)
	m.Fields = append(m.Fields, f)
	if f.Kind == 0 {
		p.linked = append(p.linked, func() { m.Fields[n].Type, m.Fields[n].Kind = p.set.resolve(scope, tok) })
	}
	return p.skip(p.next())
}

// entry reads a map's types, and returns the name of the message of its entries.
func (p *source) entry(m *Message) (string, error) {
	e := &Message{Name: within(m.Name, "entry "+strconv.Itoa(len(m.Fields))), IsMap: true}
	if err := p.expect("<"); err != nil {
		return "", err
	}
	key := p.next()
	if err := p.expect(","); err != nil {
		return "", err
	}
	value := p.next()
	e.Fields = []Field{{Number: 1, Name: "key", Kind: kindOf(key)}, {Number: 2, Name: "value", Kind: kindOf(value)}}
	if e.Fields[1].Kind == 0 {
		p.linked = append(p.linked, func() { e.Fields[1].Type, e.Fields[1].Kind = p.set.resolve(m.Name, value) })
	}
	p.set.messages[e.Name] = e
	return e.Name, p.expect(">")
}

// enum reads what is in one, behind its name.
func (p *source) enum(name, scope string) error {
	if err := p.expect("{"); err != nil {
		return err
	}
	e := &Enum{Name: within(scope, name), Values: map[int32]string{}}
	p.set.enums[e.Name] = e
	for {
		tok := p.next()
		switch tok {
		case "}":
			return nil
		case "":
			return errEnd
		case ";":
			continue
		case "option", "reserved":
			if err := p.skip(tok); err != nil {
				return err
			}
			continue
		}
		if err := p.expect("="); err != nil {
			return err
		}
		digits := p.next()
		if digits == "-" {
			digits += p.next()
		}
		n, err := strconv.ParseInt(digits, 0, 32)
		if err != nil {
			return fmt.Errorf("%q is no value of %s", tok, e.Name)
		}
		if e.Values[int32(n)] == "" {
			e.Values[int32(n)] = tok
		}
		if err := p.skip(p.next()); err != nil {
			return err
		}
	}
}

// service reads what is in one, behind its name.
func (p *source) service(name, scope string) error {
	if err := p.expect("{"); err != nil {
		return err
	}
	for {
		switch tok := p.next(); tok {
		case "}":
			return nil
		case "":
			return errEnd
		case ";":
		case "rpc":
			if err := p.rpc(within(scope, name), scope); err != nil {
				return err
			}
		default:
			if err := p.skip(tok); err != nil {
				return err
			}
		}
	}
}

// rpc reads a method of service.
func (p *source) rpc(service, scope string) error {
	called := p.next()
	in, err := p.parameter()
	if err != nil {
		return err
	}
	if err := p.expect("returns"); err != nil {
		return err
	}
	out, err := p.parameter()
	if err != nil {
		return err
	}
	p.linked = append(p.linked, func() {
		var m method
		m.in, _ = p.set.resolve(scope, in)
		m.out, _ = p.set.resolve(scope, out)
		p.set.methods[service+"/"+called] = m
	})
	return p.skip(p.next())
}

// parameter reads the type in parentheses.
func (p *source) parameter() (string, error) {
	if err := p.expect("("); err != nil {
		return "", err
	}
	name := p.next()
	if name == "stream" {
		if next := p.next(); next != ")" {
			return next, p.expect(")")
		}
		return name, nil
	}
	return name, p.expect(")")
}
