// Package descriptor knows what the messages of protobuf are called: it reads
// descriptor sets, as protoc and buf write them, the descriptors that servers give
// by reflection, and .proto files. Of all that it keeps names, numbers and types.
package descriptor

import (
	"maps"
	"slices"
	"strings"
)

// A Set is messages, enums and methods by their names. The zero value is empty. It
// is safe for concurrent use once nothing is added any more.
type Set struct {
	messages map[string]*Message
	enums    map[string]*Enum
	methods  map[string]method // by "package.Service/Method"
}

// A method is what a method takes and gives, by name.
type method struct{ in, out string }

// A Message is the fields of a type of messages.
type Message struct {
	Name   string // with its package: "greet.v1.HelloRequest"
	Fields []Field
	IsMap  bool // it is an entry of a map: field 1 is the key, field 2 the value
}

// A Field is one field of a Message.
type Field struct {
	Number   uint64
	Name     string // as in the .proto file
	Kind     Kind
	Repeated bool
	Type     string // of a message or an enum: its name, as Set.Message and Set.Enum take it
}

// An Enum is the names of an enum's values.
type Enum struct {
	Name   string
	Values map[int32]string
}

// Kind is the type of a field, with the numbers of FieldDescriptorProto.Type
// (github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto).
type Kind uint8

// The kinds of fields. A KindGroup is not read.
const (
	KindDouble Kind = iota + 1
	KindFloat
	KindInt64
	KindUint64
	KindInt32
	KindFixed64
	KindFixed32
	KindBool
	KindString
	KindGroup
	KindMessage
	KindBytes
	KindUint32
	KindEnum
	KindSfixed32
	KindSfixed64
	KindSint32
	KindSint64
)

// kindOf is the kind that a .proto file has a word for; that of a message or an
// enum is known when all is read.
func kindOf(word string) Kind {
	words := [...]string{KindDouble: "double", KindFloat: "float", KindInt64: "int64", KindUint64: "uint64", KindInt32: "int32",
		KindFixed64: "fixed64", KindFixed32: "fixed32", KindBool: "bool", KindString: "string", KindBytes: "bytes", KindUint32: "uint32",
		KindSfixed32: "sfixed32", KindSfixed64: "sfixed64", KindSint32: "sint32", KindSint64: "sint64"}
	return Kind(max(slices.Index(words[1:], word)+1, 0))
}

// Empty says whether s knows nothing. A nil Set is empty.
func (s *Set) Empty() bool { return s == nil || len(s.messages) == 0 }

// Clone is a Set that knows what s does, to which more may be added; nil if s is.
func (s *Set) Clone() *Set {
	if s == nil {
		return nil
	}
	return &Set{maps.Clone(s.messages), maps.Clone(s.enums), maps.Clone(s.methods)}
}

// Message is the message called name, nil if s does not know it.
func (s *Set) Message(name string) *Message {
	if s == nil {
		return nil
	}
	return s.messages[name]
}

// Enum is the enum called name, nil if s does not know it.
func (s *Set) Enum(name string) *Enum { return s.enums[name] }

// Method is what the method of a service, "package.Service", takes and gives, nil
// where s does not know it.
func (s *Set) Method(service, name string) (in, out *Message) {
	if s == nil {
		return nil, nil
	}
	m := s.methods[service+"/"+name]
	return s.messages[m.in], s.messages[m.out]
}

// Field is the field of m with a number, nil if there is none. A nil Message has
// none.
func (m *Message) Field(number uint64) *Field {
	if m == nil {
		return nil
	}
	if n := slices.IndexFunc(m.Fields, func(f Field) bool { return f.Number == number }); n >= 0 {
		return &m.Fields[n]
	}
	return nil
}

// add makes room in s for more.
func (s *Set) add() {
	if s.messages == nil {
		s.messages, s.enums, s.methods = map[string]*Message{}, map[string]*Enum{}, map[string]method{}
	}
}

// within is the full name of name, where scope is the package or message that it
// stands in.
func within(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

// resolve is the full name of a type that is called name where scope is: the
// innermost that there is, as in C++.
func (s *Set) resolve(scope, name string) (string, Kind) {
	name, absolute := strings.CutPrefix(name, ".")
	for {
		full := name
		if !absolute {
			full = within(scope, name)
		}
		switch {
		case s.messages[full] != nil:
			return full, KindMessage
		case s.enums[full] != nil:
			return full, KindEnum
		case absolute || scope == "":
			return name, KindMessage
		}
		scope = scope[:max(strings.LastIndexByte(scope, '.'), 0)]
	}
}
