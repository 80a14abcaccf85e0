package foreign

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// flowsNewest is the newest version of mitmproxy's files that is known here:
// mitmproxy/io/compat.py counts them.
const flowsNewest = 21

// isMitmproxy says whether v is a list of flows.
func isMitmproxy(v *value) bool {
	return v != nil && v.unit == "byte" && v.kind == '[' && len(v.kids) > 0 && v.kids[0].peek("version") != nil && v.kids[0].peek("type") != nil
}

// readMitmproxy reads a file that mitmproxy or mitmdump -w wrote.
func readMitmproxy(d *draft, root *value) error {
	for _, v := range root.list() {
		if err := d.mitmproxyFlow(v); err != nil {
			return err
		}
	}
	return nil
}

// mitmproxyFlow takes in a flow of any kind.
func (d *draft) mitmproxyFlow(v *value) error {
	if v.kind != '{' {
		return v.fault("not a flow")
	}
	if n := v.int("version"); n > flowsNewest {
		d.note(v, "flows of version %d are newer than %d and may hold more than is known here", n, flowsNewest)
	}
	v.skip("id", "client_conn", "server_conn", "intercepted", "is_replay", "timestamp_created", "marked")
	if b := v.get("backup"); !b.null() {
		b.all()
		d.note(v, "a flow was modified: its original is not carried")
	}
	if kind := v.str("type"); kind != "http" {
		v.all()
		d.note(v, "%s flows are not carried", kind)
		return nil
	}
	d.flow(v)
	return nil
}

// flow takes in an HTTP flow.
func (d *draft) flow(v *value) {
	q, r := v.get("request"), v.get("response")
	e := Exchange{RequestBody: []byte(q.str("content")), Start: seconds(q.get("timestamp_start"))}
	e.Request = exchange.Head{Method: q.str("method"), Version: d.version(q, q.str("http_version")), Fields: d.fieldsOf(q.get("headers"))}
	host := q.str("authority")
	if s, ok := exchange.Get(e.Request.Fields, "host"); ok {
		host = s // where mitmproxy stands in for the origin, host is where it went
	}
	if addr := q.str("host"); host == "" {
		host = net.JoinHostPort(strings.Trim(addr, "[]"), q.str("port"))
	}
	q.skip("host", "port", "first_line_format")
	e.URL = q.str("scheme") + "://" + host + q.str("path")
	if t := d.fieldsOf(q.get("trailers")); len(t) > 0 {
		d.note(q, "a request's trailers are not carried")
	}
	asked := seconds(q.get("timestamp_end"))
	begun, ended := seconds(r.get("timestamp_start")), seconds(r.get("timestamp_end"))
	if !begun.IsZero() && !asked.IsZero() {
		e.Wait, e.Receive = max(begun.Sub(asked), 0), max(ended.Sub(begun), 0)
	}
	if why := v.get("error"); !why.null() {
		e.Failure = exchange.End{How: howOf(why.str("msg")), Err: why.str("msg")}
		if failed := seconds(why.get("timestamp")); failed.After(e.Start) {
			e.Wait = failed.Sub(e.Start)
		}
	}
	if w := v.get("websocket"); !w.null() {
		e.Messages = d.flowMessages(w, seconds(r.peek("timestamp_end")))
	}
	if r.null() {
		if e.Failure.How == exchange.Complete {
			d.note(v, "a flow without a response is left out")
			return
		}
		d.add(v, e, asSent)
		return
	}
	if e.Failure.How != exchange.Complete {
		e.Failure.How = exchange.Truncated
	}
	if c := r.peek("content"); c.null() && e.Failure.How == exchange.Complete {
		d.note(r, "the body was streamed and is not in the file: carried as empty")
	}
	e.ResponseBody, e.Trailers = []byte(r.str("content")), d.fieldsOf(r.get("trailers"))
	e.Response = d.answer(r, d.version(r, r.str("http_version")), r.int("status_code"), r.str("reason"), d.fieldsOf(r.get("headers")))
	d.add(v, e, asSent)
}

// flowMessages are those of a WebSocket that was opened at begun. mitmproxy
// answers pings itself and keeps none.
func (d *draft) flowMessages(w *value, begun time.Time) []Message {
	ms := []Message{}
	since := func(v *value) time.Duration { return max(seconds(v).Sub(begun), 0) }
	for _, k := range w.get("messages").list() {
		f := k.list()
		if len(f) < 4 {
			d.note(k, "a WebSocket message that is none is left out")
			continue
		}
		m := Message{From: exchange.Server, At: since(f[3]), Op: ws.Text, Data: []byte(f[2].text)}
		if f[1].text == "true" {
			m.From = exchange.Client
		}
		if f[0].text == "2" {
			m.Op = ws.Binary
		}
		if len(f) > 4 && f[4].text == "true" {
			d.note(k, "a WebSocket message that was dropped is left out")
			continue
		}
		ms = append(ms, m)
	}
	by := exchange.Server
	if w.str("closed_by_client") == "true" {
		by = exchange.Client
	}
	if code := w.get("close_code"); !code.null() {
		at := since(w.get("timestamp_end"))
		n, _ := strconv.ParseUint(code.text, 10, 16)
		ms = append(ms, closing(by, at, ws.Code(n), w.str("close_reason"))...)
	}
	w.skip("timestamp_end", "close_reason")
	return ms
}

// seconds is the number v as a time since 1970.
func seconds(v *value) time.Time {
	f, ok := v.float()
	if !ok || !(f > 0) || f > 1e11 {
		return time.Time{}
	}
	return time.UnixMicro(int64(f * 1e6)).UTC()
}
