package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A scenario is a case: it fails with an error, or by ending the process, as those
// of package interop do.
type scenario func(context.Context, *grpc.ClientConn) error

// cases are those of
// github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md that need no
// account, no balancer and no second server, and, with other names, some more.
func cases() map[string]scenario {
	stock := func(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption), opts ...grpc.CallOption) scenario {
		return func(ctx context.Context, cc *grpc.ClientConn) error {
			f(ctx, testgrpc.NewTestServiceClient(cc), opts...)
			return nil
		}
	}
	gz := grpc.UseCompressor(gzip.Name)
	return map[string]scenario{
		"empty_unary":                 stock(interop.DoEmptyUnaryCall),
		"large_unary":                 stock(interop.DoLargeUnaryCall),
		"client_compressed_unary":     stock(interop.DoLargeUnaryCall, gz),
		"client_compressed_streaming": stock(interop.DoClientStreaming, gz),
		"server_compressed_streaming": stock(interop.DoServerStreaming, gz),
		"compressed_ping_pong":        stock(interop.DoPingPong, gz),
		"client_streaming":            stock(interop.DoClientStreaming),
		"server_streaming":            stock(interop.DoServerStreaming),
		"ping_pong":                   stock(interop.DoPingPong),
		"empty_stream":                stock(interop.DoEmptyStream),
		"timeout_on_sleeping_server":  stock(interop.DoTimeoutOnSleepingServer),
		"cancel_after_begin":          stock(interop.DoCancelAfterBegin),
		"cancel_after_first_response": stock(interop.DoCancelAfterFirstResponse),
		"custom_metadata":             stock(interop.DoCustomMetadata),
		"status_code_and_message":     stock(interop.DoStatusCodeAndMessage),
		"special_status_message":      stock(interop.DoSpecialStatusMessage),
		"unimplemented_method": func(ctx context.Context, cc *grpc.ClientConn) error {
			interop.DoUnimplementedMethod(ctx, cc)
			return nil
		},
		"unimplemented_service": func(ctx context.Context, cc *grpc.ClientConn) error {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
			return nil
		},
		"half_duplex":       halfDuplex,
		"deadline_unary":    deadlineUnary,
		"many_at_once":      manyAtOnce,
		"large_message":     largeMessage,
		"early_error":       earlyError,
		"parallel_pingpong": parallelPingPong,
	}
}

func payload(n int) *testpb.Payload {
	return interop.ClientNewPayload(testpb.PayloadType_COMPRESSABLE, n)
}

// halfDuplex has the server answer when the client has ended.
func halfDuplex(ctx context.Context, cc *grpc.ClientConn) error {
	s, err := testgrpc.NewTestServiceClient(cc).HalfDuplexCall(ctx)
	if err != nil {
		return err
	}
	for n := range 3 {
		if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: int32(10 + n)}}}); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for n := range 3 {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if got := len(r.GetPayload().GetBody()); got != 10+n {
			return fmt.Errorf("message %d has %d bytes; want %d", n, got, 10+n)
		}
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end is %v", err)
	}
	return nil
}

// deadlineUnary has the server sleep past the deadline of a call whose request is
// whole.
func deadlineUnary(ctx context.Context, cc *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	s, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{Size: 7}, {Size: 8, IntervalUs: 5e6}},
	})
	if err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil {
		return err
	}
	if _, err := s.Recv(); status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("it ends with %v; want DEADLINE_EXCEEDED", err)
	}
	return nil
}

// manyAtOnce makes calls that differ at the same time.
func manyAtOnce(ctx context.Context, cc *grpc.ClientConn) error {
	const n = 100
	told := make(chan error, n)
	for k := range n {
		go func() {
			r, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: int32(k), Payload: payload(k)})
			if err == nil && len(r.GetPayload().GetBody()) != k {
				err = fmt.Errorf("call %d got %d bytes", k, len(r.GetPayload().GetBody()))
			}
			told <- err
		}()
	}
	for range n {
		if err := <-told; err != nil {
			return err
		}
	}
	return nil
}

// largeMessage sends and gets more than stands in a cassette.
func largeMessage(ctx context.Context, cc *grpc.ClientConn) error {
	const n = 3 << 20
	r, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: n, Payload: payload(n)}, grpc.MaxCallRecvMsgSize(8<<20))
	if err == nil && len(r.GetPayload().GetBody()) != n {
		err = fmt.Errorf("got %d bytes", len(r.GetPayload().GetBody()))
	}
	return err
}

// earlyError has the server end a call while the client still may speak.
func earlyError(ctx context.Context, cc *grpc.ClientConn) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", "early")
	s, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "so early"}}); err != nil {
		return err
	}
	if _, err := s.Recv(); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "so early" {
		return fmt.Errorf("it ends with %v; want DATA_LOSS", err)
	}
	return nil
}

// parallelPingPong holds conversations that begin alike, at the same time.
func parallelPingPong(ctx context.Context, cc *grpc.ClientConn) error {
	const n = 8
	told := make(chan error, n)
	for k := range n {
		go func() { told <- talk(ctx, cc, k) }()
	}
	for range n {
		if err := <-told; err != nil {
			return err
		}
	}
	return nil
}

// talk asks for three messages, the last of them k bytes long.
func talk(ctx context.Context, cc *grpc.ClientConn, k int) error {
	s, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for _, size := range []int{100, 200, 300 + k} {
		if err := s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: int32(size)}}}); err != nil {
			return err
		}
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if got := len(r.GetPayload().GetBody()); got != size {
			return fmt.Errorf("conversation %d got %d bytes; want %d", k, got, size)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end is %v", err)
	}
	return nil
}
