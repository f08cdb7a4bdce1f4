// One client of GetFlows, which looks at no more of a response than whether it is a flow or a loss.
package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
)

// report sums up a stream.
type report struct {
	Stream     int    `json:"stream"`
	Group      string `json:"group"`
	Connection int    `json:"connection"`
	Responses  uint64 `json:"responses"`
	Bytes      uint64 `json:"bytes"`
	Flows      uint64 `json:"flows"`
	// Lost sums up the counts of LostEvents, by their source.
	Lost         map[string]uint64 `json:"lost"`
	LostMessages uint64            `json:"lost_messages"`
	NodeStatus   uint64            `json:"node_status"`
	// Nanoseconds are those from the request to the last response.
	Nanoseconds int64  `json:"nanoseconds"`
	Ended       bool   `json:"ended"`
	Code        string `json:"code"`
	Message     string `json:"message"`
}

func (report *report) allLost() (sum uint64) {
	for _, number := range report.Lost {
		sum += number
	}
	return sum
}

type client struct {
	mutex      sync.Mutex
	report     report
	resetAfter uint64
	// gate keeps from reading until it is closed; nil is none.
	gate  <-chan struct{}
	reset context.CancelFunc
}

func newClient(number int, group string, connection int) *client {
	return &client{report: report{Stream: number, Group: group, Connection: connection, Lost: map[string]uint64{}}}
}

// start returns when the request is sent.
func (client *client) start(ctx context.Context, connection *grpc.ClientConn, request []byte) {
	ctx, client.reset = context.WithCancel(ctx)
	begin := time.Now()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, observerpb.Observer_GetFlows_FullMethodName)
	if err == nil {
		err = stream.SendMsg(request)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil {
		client.end(err)
		return
	}
	go func() {
		if client.gate != nil {
			select {
			case <-client.gate:
			case <-ctx.Done():
			}
		}
		var response []byte
		for {
			if err := stream.RecvMsg(&response); err != nil {
				client.end(err)
				return
			}
			client.count(response, time.Since(begin))
		}
	}()
}

func (client *client) count(response []byte, since time.Duration) {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	now := &client.report
	now.Responses++
	now.Bytes += uint64(len(response))
	now.Nanoseconds = since.Nanoseconds()
	for rest := response; len(rest) > 0; {
		field, kind, length := protowire.ConsumeField(rest)
		if length < 0 {
			now.Message = protowire.ParseError(length).Error()
			break
		}
		// The numbers of GetFlowsResponse's oneof.
		switch {
		case field == 1 && kind == protowire.BytesType:
			now.Flows++
		case field == 2 && kind == protowire.BytesType:
			now.NodeStatus++
		case field == 3 && kind == protowire.BytesType:
			now.lose(rest[:length])
		}
		rest = rest[length:]
	}
	if client.resetAfter > 0 && now.Responses >= client.resetAfter {
		client.reset()
	}
}

func (report *report) lose(field []byte) {
	_, _, skip := protowire.ConsumeTag(field)
	body, _ := protowire.ConsumeBytes(field[skip:])
	var lost flowpb.LostEvent
	if err := proto.Unmarshal(body, &lost); err != nil {
		report.Message = err.Error()
		return
	}
	report.LostMessages++
	report.Lost[lost.GetSource().String()] += lost.GetNumEventsLost()
}

func (client *client) end(err error) {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	end := status.Convert(err)
	client.report.Ended, client.report.Code, client.report.Message = true, end.Code().String(), end.Message()
}

// lacks returns whether more is to be waited for.
func (client *client) lacks(flows uint64) bool {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	now := &client.report
	isRead := now.Group == "read" || now.Group == "filtered"
	return isRead && !now.Ended && now.Flows+now.allLost() < flows
}

// now gives a copy.
func (client *client) now() *report {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	now := client.report
	now.Lost = make(map[string]uint64, len(client.report.Lost))
	for source, number := range client.report.Lost {
		now.Lost[source] = number
	}
	return &now
}
