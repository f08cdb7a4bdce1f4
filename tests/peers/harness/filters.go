// Hubble's own filters, over events that are handed in. Each frame in starts with a byte for its kind:
//
//	E  an ExportEvent: one event more; no answer
//	F  a GetFlowsRequest, of which only whitelist and blacklist count: answered by one frame
//
// The answer is a byte 0 and a bitmap over the events so far (event i is bit i%8 of byte i/8), or a byte 1 and why the
// request is invalid. Answers are flushed at once.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	hubble "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/filters"
)

func filter(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	var events []*hubble.Event
	return eachFrame(in, func(frame []byte) error {
		if len(frame) == 0 {
			return fmt.Errorf("a frame without its kind")
		}
		switch kind, body := frame[0], frame[1:]; kind {
		case 'E':
			event, err := toEvent(body)
			if err != nil {
				return fmt.Errorf("event %d: %w", len(events), err)
			}
			events = append(events, event)
		case 'F':
			bits, err := matches(body, events)
			answer := append([]byte{0}, bits...)
			if err != nil {
				answer = append([]byte{1}, err.Error()...)
			}
			if err := writeFrame(out, answer); err != nil {
				return err
			}
			if in.Buffered() == 0 {
				return out.Flush()
			}
		default:
			return fmt.Errorf("a frame of kind %q", kind)
		}
		return nil
	})
}

// matches turns a panic into an error, as parseOne does.
func matches(body []byte, events []*hubble.Event) (bits []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			bits, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	var request observerpb.GetFlowsRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	ctx := context.Background()
	whitelist, err := filters.BuildFilterList(ctx, request.Whitelist, filters.DefaultFilters)
	if err != nil {
		return nil, err
	}
	blacklist, err := filters.BuildFilterList(ctx, request.Blacklist, filters.DefaultFilters)
	if err != nil {
		return nil, err
	}
	bits = make([]byte, (len(events)+7)/8)
	for i, event := range events {
		if filters.Apply(whitelist, blacklist, event) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits, nil
}
