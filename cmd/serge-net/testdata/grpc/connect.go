package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// The methods that are served by and called with Connect's library.
const (
	unaryCall  = "/grpc.testing.TestService/UnaryCall"
	outputCall = "/grpc.testing.TestService/StreamingOutputCall"
	duplexCall = "/grpc.testing.TestService/FullDuplexCall"
)

// serveConnect serves Connect, gRPC and gRPC-Web on l, over HTTP/1.1 and h2c.
func serveConnect(l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle(unaryCall, connect.NewUnaryHandler(unaryCall, func(_ context.Context, r *connect.Request[testpb.SimpleRequest]) (*connect.Response[testpb.SimpleResponse], error) {
		if s := r.Msg.GetResponseStatus(); s != nil {
			return nil, connect.NewError(connect.Code(s.GetCode()), errors.New(s.GetMessage()))
		}
		return connect.NewResponse(&testpb.SimpleResponse{Payload: payload(int(r.Msg.GetResponseSize())), Username: r.Header().Get("X-User")}), nil
	}))
	mux.Handle(outputCall, connect.NewServerStreamHandler(outputCall, func(_ context.Context, r *connect.Request[testpb.StreamingOutputCallRequest], s *connect.ServerStream[testpb.StreamingOutputCallResponse]) error {
		for _, p := range r.Msg.GetResponseParameters() {
			if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
				return err
			}
		}
		return nil
	}))
	mux.Handle(duplexCall, connect.NewBidiStreamHandler(duplexCall, func(_ context.Context, s *connect.BidiStream[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
		for {
			r, err := s.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, p := range r.GetResponseParameters() {
				if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
					return err
				}
			}
		}
	}))
	s := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

// runConnect calls address in a protocol, "connect", "grpcweb" or "grpc", with
// +json and +gzip behind it, and +h2 for HTTP/2, and prints what it is told.
func runConnect(ctx context.Context, protocol, address string) error {
	var opts []connect.ClientOption
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP1(true)
	for word := range strings.SplitSeq(protocol, "+") {
		switch word {
		case "grpcweb":
			opts = append(opts, connect.WithGRPCWeb())
		case "grpc":
			opts = append(opts, connect.WithGRPC())
		case "json":
			opts = append(opts, connect.WithProtoJSON())
		case "gzip":
			opts = append(opts, connect.WithSendGzip())
		case "h2":
			t.Protocols.SetHTTP1(false)
			t.Protocols.SetUnencryptedHTTP2(true)
		}
	}
	hc, base := &http.Client{Transport: t}, "http://"+address
	unary := connect.NewClient[testpb.SimpleRequest, testpb.SimpleResponse](hc, base+unaryCall, opts...)
	ask := func(r *testpb.SimpleRequest) {
		req := connect.NewRequest(r)
		req.Header().Set("X-User", "ada")
		answer, err := unary.CallUnary(ctx, req)
		if err != nil {
			fmt.Println("unary", connect.CodeOf(err), strings.SplitN(err.Error(), "\n", 2)[0])
			return
		}
		fmt.Println("unary", len(answer.Msg.GetPayload().GetBody()), answer.Msg.GetUsername())
	}
	ask(&testpb.SimpleRequest{ResponseSize: 11})
	ask(&testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(connect.CodeNotFound), Message: "gone"}})
	output := connect.NewClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse](hc, base+outputCall, opts...)
	s, err := output.CallServerStream(ctx, connect.NewRequest(sizes(3, 4)))
	if err != nil {
		return err
	}
	for s.Receive() {
		fmt.Println("stream", len(s.Msg().GetPayload().GetBody()))
	}
	fmt.Println("stream ends", s.Err())
	if !strings.Contains(protocol, "h2") {
		return nil
	}
	d := connect.NewClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse](hc, base+duplexCall, opts...).CallBidiStream(ctx)
	for _, n := range []int32{5, 6, 7} {
		if err := d.Send(sizes(n)); err != nil {
			return err
		}
		r, err := d.Receive()
		if err != nil {
			return err
		}
		fmt.Println("in turn", len(r.GetPayload().GetBody()))
	}
	return errors.Join(d.CloseRequest(), d.CloseResponse())
}

// sizes is a request for messages of sizes.
func sizes(all ...int32) *testpb.StreamingOutputCallRequest {
	r := &testpb.StreamingOutputCallRequest{}
	for _, n := range all {
		r.ResponseParameters = append(r.ResponseParameters, &testpb.ResponseParameters{Size: n})
	}
	return r
}

// missConnect makes one call that nobody recorded.
func missConnect(ctx context.Context, protocol, address string) {
	var opts []connect.ClientOption
	if protocol == "grpcweb" {
		opts = append(opts, connect.WithGRPCWeb())
	}
	_, err := connect.NewClient[testpb.SimpleRequest, testpb.SimpleResponse](http.DefaultClient, "http://"+address+unaryCall, opts...).CallUnary(ctx, connect.NewRequest(&testpb.SimpleRequest{ResponseSize: 12}))
	fmt.Println(connect.CodeOf(err), err)
	s, err := connect.NewClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse](http.DefaultClient, "http://"+address+outputCall, opts...).CallServerStream(ctx, connect.NewRequest(sizes(12)))
	if err == nil {
		s.Receive()
		err = s.Err()
	}
	fmt.Println(connect.CodeOf(err), err)
}
