// Hubble's own parser: each payload by a parser of its own.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observer "github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/hubble/parser"
	"github.com/cilium/cilium/pkg/hubble/parser/options"
	"github.com/cilium/cilium/pkg/hubble/testutils"
	"github.com/cilium/cilium/pkg/monitor/api"
	"github.com/cilium/cilium/pkg/proxy/accesslog"
)

func parse(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	path := arguments.String("world", "", "a file of names in JSON; none without it")
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	names, err := readWorld(*path)
	if err != nil {
		return err
	}
	return eachFrame(in, func(data []byte) error {
		line, err := parseOne(data, names)
		if err != nil {
			line, err = json.Marshal(map[string]string{"error": err.Error()})
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", line)
		return err
	})
}

// newParser gives a parser that remembers nothing, with the names of a world; nil: without any.
func newParser(names *world) (*parser.Parser, error) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	if names == nil {
		return parser.New(log, &testutils.NoopEndpointGetter, &testutils.NoopIdentityGetter, &testutils.NoopDNSGetter,
			&testutils.NoopIPGetter, &testutils.NoopServiceGetter, &world{},
			&testutils.NoopPodMetadataGetter, options.CacheSize(16))
	}
	return parser.New(log, names.endpointGetter(), names.identityGetter(), names.dnsGetter(), names.ipGetter(),
		names.serviceGetter(), names, &testutils.NoopPodMetadataGetter, options.CacheSize(16))
}

// parseOne turns a panic into an error: upstream has some, on packets that are cut off.
func parseOne(data []byte, names *world) (line []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			line, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	event, err := monitorEvent(data)
	if err != nil {
		return nil, err
	}
	fresh, err := newParser(names)
	if err != nil {
		return nil, err
	}
	decoded, err := fresh.Decode(event)
	if err != nil {
		return nil, err
	}
	switch found := decoded.Event.(type) {
	case *flowpb.Flow:
		found.Uuid, found.Time = "", nil
		return toJSON(found)
	case *flowpb.AgentEvent:
		return wrapped("agent_event", found)
	case *flowpb.DebugEvent:
		return wrapped("debug_event", found)
	}
	return nil, fmt.Errorf("an event of type %T", decoded.Event)
}

// monitorEvent is what the agent hands to Hubble: its own events are no bytes there.
func monitorEvent(data []byte) (*observer.MonitorEvent, error) {
	if len(data) == 0 || data[0] < api.MessageTypeAccessLog {
		return &observer.MonitorEvent{Payload: &observer.PerfEvent{Data: data}}, nil
	}
	event := &observer.AgentEvent{Type: int(data[0])}
	decoder := gob.NewDecoder(bytes.NewReader(data[1:]))
	switch data[0] {
	case api.MessageTypeAccessLog:
		var record accesslog.LogRecord
		if err := decoder.Decode(&record); err != nil {
			return nil, err
		}
		event.Message = record
	case api.MessageTypeAgent:
		var notify api.AgentNotify
		if err := decoder.Decode(&notify); err != nil {
			return nil, err
		}
		message, err := fromNotify(notify)
		if err != nil {
			return nil, err
		}
		event.Message = message
	}
	return &observer.MonitorEvent{Payload: event}, nil
}

// toJSON takes out the blanks that protojson adds at random.
func toJSON(message proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, text)
	return compact.Bytes(), err
}

func wrapped(name string, message proto.Message) ([]byte, error) {
	text, err := toJSON(message)
	return fmt.Appendf(nil, "{%q:%s}", name, text), err
}
