package cassette

// A place is an object of the cassette's JSON form: the members that this version
// reads and writes there, and the places that are below. An array of objects is
// the place of each. nil is a value that is read whole.
type place map[string]place

// keep gives dst, an object at p, the members of src, the object as it was read,
// that this version does not know: they are kept on every rewrite.
func (p place) keep(dst, src *node) {
	for _, m := range src.members() {
		below, known := p[m.key]
		switch now := dst.get(m.key); {
		case !known && now == nil:
			dst.mem = append(dst.mem, m)
		case !known || below == nil || now == nil:
		case now.kind == '{':
			below.keep(now, m.val)
		case now.kind == '[' && len(now.kids) == len(m.val.elements()):
			for i, k := range m.val.kids {
				if now.kids[i].kind == '{' {
					below.keep(now.kids[i], k)
				}
			}
		}
	}
}

// leaves makes p know members that are read whole.
func (p place) leaves(keys ...string) place {
	for _, k := range keys {
		p[k] = nil
	}
	return p
}

// The places of the format. docs/cassette.schema.json names the same.

func interactionPlace() place {
	response := messagePlace().leaves("status", "reason")
	response["informational"] = place{}.leaves("status", "reason", "headers", "at_ms")
	return place{
		"request":  messagePlace().leaves("method", "url", "target"),
		"response": response,
		"upgraded": place{"messages": place{"payload": bodyPlace()}.leaves("direction")}.leaves("closed_by"),
		"websocket": place{
			"messages":    place{"payload": bodyPlace().leaves("ping", "pong", "foreign", "opcode"), "cut_frame": place{}.leaves("size", "fin")}.leaves("direction", "timestamp_ms", "fragments", "end"),
			"close_frame": place{"reply": place{}.leaves("code", "reason")}.leaves("code", "reason", "direction", "timestamp_ms", "clean"),
		}.leaves("url"),
		"tcp": place{
			"messages": place{"payload": bodyPlace().leaves("starttls", "end")}.leaves("direction", "timestamp_ms"),
			"close":    place{}.leaves("by", "how", "reply", "alert"),
		}.leaves("remote", "tls"),
		"grpc": place{
			"messages": place{
				"payload": place{}.leaves("binary", "json", "style", "text", "lines", "base64", "fields", "marked", "size", "head", "end"),
			}.leaves("direction", "timestamp_ms", "fields", "compressed", "flags", "end"),
		}.leaves("service", "method"),
		"error":  place{}.leaves("kind", "phase", "errno", "alert", "code", "cause", "raw"),
		"peer":   place{}.leaves("address", "pid", "command"),
		"timing": place{}.leaves("start_ms", "send_ms", "wait_ms", "receive_ms", "informational_ms", "chunk_ms", "pieces"),
	}.leaves("id", "kind", "seq", "connection")
}

func messagePlace() place {
	return place{"body": bodyPlace()}.leaves("http_version", "headers", "raw_head", "trailers", "raw_end", "end", "end_code")
}

func bodyPlace() place {
	return place{
		"wire": place{}.leaves("encoding", "of", "base64", "file", "sha256", "size"),
	}.leaves("json", "text", "lines", "ndjson", "form", "multipart", "sse", "rest", "base64", "file", "style", "boundary", "sha256", "size", "marked",
		"binary", "chunks", "chunk_ext")
}

func connectionPlace() place {
	return place{"tls": place{}.leaves("alpn", "sni", "sans")}.leaves("scheme", "host", "port", "http_version", "connect_protocol")
}

func dnsPlace() place {
	return place{"dns": place{}.leaves("name", "type", "rcode", "answers", "authority", "additional")}.leaves("id", "kind", "seq")
}

func pinsPlace() place {
	return place{"pins": place{}.leaves("name", "v4", "v6")}
}
