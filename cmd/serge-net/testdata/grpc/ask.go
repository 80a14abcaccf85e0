package main

import (
	"context"
	"fmt"
	"strconv"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// ask makes one call of address, for size bytes, and prints how many it gets. If
// names is set it asks the server's reflection for them first, as grpcurl does.
func ask(ctx context.Context, size, address string, names bool) error {
	n, err := strconv.ParseInt(size, 10, 32)
	if err != nil {
		return err
	}
	conn, err := dial(address, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if names {
		if err := askNames(ctx, grpc_reflection_v1.NewServerReflectionClient(conn)); err != nil {
			return fmt.Errorf("ask for names: %w", err)
		}
	}
	r := &testpb.SimpleRequest{ResponseSize: int32(n), Payload: payload(int(n))}
	answer, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, r)
	if err != nil {
		return err
	}
	fmt.Println("answered", len(answer.GetPayload().GetBody()))
	return nil
}

// askNames asks for the services of a server and for the files that name them.
func askNames(ctx context.Context, c grpc_reflection_v1.ServerReflectionClient) error {
	s, err := c.ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	say := func(r *grpc_reflection_v1.ServerReflectionRequest) (*grpc_reflection_v1.ServerReflectionResponse, error) {
		if err := s.Send(r); err != nil {
			return nil, err
		}
		return s.Recv()
	}
	all, err := say(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		return err
	}
	for _, service := range all.GetListServicesResponse().GetService() {
		answer, err := say(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service.GetName()},
		})
		if err != nil {
			return err
		}
		fmt.Println(service.GetName(), len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()) > 0)
	}
	return s.CloseSend()
}
