package descriptor

import (
	"encoding/binary"
	"errors"
	"strings"
)

// errWire is of bytes that are no descriptor.
var errWire = errors.New("it is no descriptor of protobuf")

// deepest is how deep messages may be nested in each other.
const deepest = 64

// AddSet adds what b, a FileDescriptorSet, describes.
func (s *Set) AddSet(b []byte) error {
	return fields(b, func(number uint64, val []byte, _ uint64) error {
		if number != 1 {
			return nil
		}
		return s.AddFile(val)
	})
}

// AddFile adds what b, a FileDescriptorProto, describes.
func (s *Set) AddFile(b []byte) error {
	s.add()
	scope := ""
	if err := fields(b, func(number uint64, val []byte, _ uint64) error {
		if number == 2 {
			scope = string(val)
		}
		return nil
	}); err != nil {
		return err
	}
	return fields(b, func(number uint64, val []byte, _ uint64) error {
		switch number {
		case 4:
			return s.message(val, scope, 0)
		case 5:
			return s.enum(val, scope)
		case 6:
			return s.service(val, scope)
		}
		return nil
	})
}

// name is the name in a descriptor, its field 1.
func name(b []byte) (n string, err error) {
	err = fields(b, func(number uint64, val []byte, _ uint64) error {
		if number == 1 {
			n = string(val)
		}
		return nil
	})
	return n, err
}

// message reads a DescriptorProto.
func (s *Set) message(b []byte, scope string, depth int) error {
	n, err := name(b)
	if err != nil || depth > deepest {
		return errWire
	}
	m := &Message{Name: within(scope, n)}
	s.messages[m.Name] = m
	return fields(b, func(number uint64, val []byte, _ uint64) error {
		switch number {
		case 2:
			f, err := field(val)
			m.Fields = append(m.Fields, f)
			return err
		case 3:
			return s.message(val, m.Name, depth+1)
		case 4:
			return s.enum(val, m.Name)
		case 7: // options: field 7 is map_entry
			return fields(val, func(number uint64, _ []byte, n uint64) error {
				m.IsMap = m.IsMap || number == 7 && n == 1
				return nil
			})
		}
		return nil
	})
}

// field reads a FieldDescriptorProto.
func field(b []byte) (f Field, err error) {
	const repeated = 3
	err = fields(b, func(number uint64, val []byte, n uint64) error {
		switch number {
		case 1:
			f.Name = string(val)
		case 3:
			f.Number = n
		case 4:
			f.Repeated = n == repeated
		case 5:
			f.Kind = Kind(min(n, 255))
		case 6:
			f.Type = strings.TrimPrefix(string(val), ".")
		}
		return nil
	})
	return f, err
}

// enum reads an EnumDescriptorProto.
func (s *Set) enum(b []byte, scope string) error {
	n, err := name(b)
	if err != nil {
		return err
	}
	e := &Enum{Name: within(scope, n), Values: map[int32]string{}}
	s.enums[e.Name] = e
	return fields(b, func(number uint64, val []byte, _ uint64) error {
		if number != 2 {
			return nil
		}
		value, is := "", int32(0)
		err := fields(val, func(number uint64, val []byte, n uint64) error {
			switch number {
			case 1:
				value = string(val)
			case 2:
				is = int32(n)
			}
			return nil
		})
		if e.Values[is] == "" {
			e.Values[is] = value // of aliases the first
		}
		return err
	})
}

// service reads a ServiceDescriptorProto.
func (s *Set) service(b []byte, scope string) error {
	n, err := name(b)
	if err != nil {
		return err
	}
	return fields(b, func(number uint64, val []byte, _ uint64) error {
		if number != 2 {
			return nil
		}
		called, m := "", method{}
		err := fields(val, func(number uint64, val []byte, _ uint64) error {
			switch number {
			case 1:
				called = string(val)
			case 2:
				m.in = strings.TrimPrefix(string(val), ".")
			case 3:
				m.out = strings.TrimPrefix(string(val), ".")
			}
			return nil
		})
		s.methods[within(scope, n)+"/"+called] = m
		return err
	})
}

// fields calls f with each field of the message b: what it holds, or its number.
func fields(b []byte, f func(number uint64, val []byte, n uint64) error) error {
	for len(b) > 0 {
		tag, k := binary.Uvarint(b)
		if k <= 0 || tag>>3 == 0 {
			return errWire
		}
		b = b[k:]
		var val []byte
		n, k := binary.Uvarint(b)
		size := k
		switch tag & 7 {
		case 0:
		case 1:
			size, n = 8, 0
		case 2:
			if k <= 0 || n > uint64(len(b)-k) {
				return errWire
			}
			val, size = b[k:k+int(n)], k+int(n)
		case 5:
			size, n = 4, 0
		default:
			return errWire
		}
		if size <= 0 || size > len(b) {
			return errWire
		}
		b = b[size:]
		if err := f(tag>>3, val, n); err != nil {
			return err
		}
	}
	return nil
}
