// One call of any gRPC method with any bytes, known or not: lines of JSON, one {"response": HEX} each, at last one with
// code, message, header and trailer.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// padding is a field number that no message of Hubble's has.
const padding = 2047

// rawCodec lets bytes through as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) ([]byte, error) {
	if raw, ok := message.([]byte); ok {
		return raw, nil
	}
	return nil, fmt.Errorf("a message of type %T", message)
}

func (rawCodec) Unmarshal(data []byte, message any) error {
	if raw, ok := message.(*[]byte); ok {
		*raw = append((*raw)[:0], data...)
		return nil
	}
	return fmt.Errorf("a message of type %T", message)
}

// dial takes what gRPC for Go calls a target, HOST:PORT or unix:///PATH among them.
func dial(address string) (*grpc.ClientConn, error) {
	if !strings.HasPrefix(address, "unix:") {
		address = "passthrough:///" + address
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(longestMessage)))
}

// longestMessage is above what any of ours sends or takes.
const longestMessage = 1 << 30

func call(arguments *flag.FlagSet, _ *bufio.Reader, out *bufio.Writer) error {
	address := arguments.String("address", "", "HOST:PORT, or unix:///PATH")
	method := arguments.String("method", "", "/package.Service/Method")
	message := arguments.String("message", "", "the request in hexadecimal")
	size := arguments.Int("size", 0, "bytes of an unknown field behind the request")
	most := arguments.Int("responses", 0, "how many to take before the call is reset; 0 is all")
	timeout := arguments.Duration("timeout", 10*time.Second, "the call's deadline")
	zip := arguments.Bool("gzip", false, "compress the request")
	sent := metadata.MD{}
	arguments.Func("header", "NAME=VALUE, as often as wanted", func(text string) error {
		name, value, _ := strings.Cut(text, "=")
		sent.Append(name, value)
		return nil
	})
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	request, err := hex.DecodeString(*message)
	if err != nil {
		return err
	}
	if *size > 0 {
		request = protowire.AppendTag(request, padding, protowire.BytesType)
		request = protowire.AppendBytes(request, make([]byte, *size))
	}
	connection, err := dial(*address)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(context.Background(), sent), *timeout)
	defer cancel()
	var header, trailer metadata.MD
	options := []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer), grpc.MaxCallSendMsgSize(longestMessage)}
	if *zip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	lines := json.NewEncoder(out)
	err = each(ctx, connection, *method, request, options, func(number int, response []byte) error {
		err := lines.Encode(map[string]string{"response": hex.EncodeToString(response)})
		if err == nil && *most > 0 && number == *most {
			cancel()
			err = context.Canceled
		}
		return err
	})
	end := status.Convert(err)
	if errors.Is(err, context.Canceled) {
		end = status.FromContextError(err)
	}
	return lines.Encode(map[string]any{
		"code": end.Code().String(), "message": end.Message(), "header": header, "trailer": trailer,
	})
}

// each sends one request and hands on each response, up to the end; nil where that is without an error.
func each(ctx context.Context, connection *grpc.ClientConn, method string, request []byte, options []grpc.CallOption,
	use func(number int, response []byte) error) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, options...)
	if err != nil {
		return err
	}
	// io.EOF means that the server has ended the call: its status has the reason.
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var response []byte
	for number := 1; ; number++ {
		if err := stream.RecvMsg(&response); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := use(number, response); err != nil {
			return err
		}
	}
}
