// Many clients of a Hubble server's GetFlows in one process, of which some behave badly. The first line out is `open N`:
// the requests of N streams are sent. Commands, one a line:
//
//	wait N SECONDS  → done, or late: each stream that is read has N flows (lost ones too), or has ended
//	read            → done: the unread are read from now on
//	reset           → done: the streams to be reset are
//	report          → a line of JSON for each stream, then done
//
// The end of the input ends all streams.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
)

// waitStep is how often a wait looks: seldom enough to cost nothing.
const waitStep = 5 * time.Millisecond

// load is what the lines act on.
type load struct {
	streams []*client
	// readAll is closed when the unread are to be read.
	readAll chan struct{}
	open    sync.Once
}

func observeLoad(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	address := arguments.String("address", "", "HOST:PORT, or unix:///PATH")
	message := arguments.String("request", "1801", "the GetFlowsRequest in hexadecimal; by default: follow")
	perConnection := arguments.Int("per-connection", 100, "streams that share a connection")
	entries := arguments.Int("entries", 1000, "filters of the filtered, of which only the last matches")
	after := arguments.Uint64("reset-after", 0, "responses after which a stream is reset by itself; 0 is never")
	groups := []struct {
		name  string
		count *int
	}{
		{"read", arguments.Int("read", 1, "streams that are read")},
		{"unread", arguments.Int("unread", 0, "streams that are not read")},
		{"filtered", arguments.Int("filtered", 0, "streams that are read, with many filters")},
		{"reset", arguments.Int("resets", 0, "streams that are read until they are reset")},
	}
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	request, err := hex.DecodeString(*message)
	if err != nil {
		return err
	}
	if *perConnection < 1 {
		return fmt.Errorf("-per-connection %d", *perConnection)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load := &load{readAll: make(chan struct{})}
	var connection *grpc.ClientConn
	for _, group := range groups {
		body := request
		if group.name == "filtered" {
			if body, err = filtered(request, *entries); err != nil {
				return err
			}
		}
		for i := 0; i < *group.count; i++ {
			if len(load.streams)%*perConnection == 0 {
				if connection, err = dial(*address); err != nil {
					return err
				}
				defer connection.Close()
			}
			client := newClient(len(load.streams), group.name, len(load.streams) / *perConnection)
			load.streams = append(load.streams, client)
			if group.name == "reset" {
				client.resetAfter = *after
			}
			if group.name == "unread" {
				client.gate = load.readAll
			}
			client.start(ctx, connection, body)
		}
	}
	fmt.Fprintf(out, "open %d\n", len(load.streams))
	if err := out.Flush(); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := load.act(lines.Text(), out); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

// filtered puts before a filter that matches all as many as make up the number, each of an address of 100.64/10, which
// no flow has: each flow costs them all.
func filtered(request []byte, entries int) ([]byte, error) {
	var message observerpb.GetFlowsRequest
	if err := proto.Unmarshal(request, &message); err != nil {
		return nil, err
	}
	for i := 1; i < entries; i++ {
		address := fmt.Sprintf("100.%d.%d.%d/32", 64+i>>16&63, i>>8&255, i&255)
		message.Whitelist = append(message.Whitelist, &flowpb.FlowFilter{SourceIp: []string{address}})
	}
	message.Whitelist = append(message.Whitelist, &flowpb.FlowFilter{})
	return proto.Marshal(&message)
}

func (load *load) act(line string, out *bufio.Writer) error {
	var word string
	var flows uint64
	var seconds float64
	// What is not there is 0.
	_, _ = fmt.Sscan(line, &word, &flows, &seconds)
	answer := "done"
	switch word {
	case "wait":
		if !load.wait(flows, time.Duration(seconds*float64(time.Second))) {
			answer = "late"
		}
	case "read":
		load.open.Do(func() { close(load.readAll) })
	case "reset":
		for _, client := range load.streams {
			if client.report.Group == "reset" {
				client.reset()
			}
		}
	case "report":
		lines := json.NewEncoder(out)
		for _, client := range load.streams {
			if err := lines.Encode(client.now()); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("not known")
	}
	_, err := fmt.Fprintln(out, answer)
	return err
}

func (load *load) wait(flows uint64, timeout time.Duration) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(waitStep) {
		missing := false
		for _, client := range load.streams {
			missing = missing || client.lacks(flows)
		}
		if !missing {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
