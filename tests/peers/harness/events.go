// Hubble's events in frames: Cilium's own ExportEvent, whose oneof has all that a ring holds.
package main

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	hubble "github.com/cilium/cilium/pkg/hubble/api/v1"
)

// toEvent takes the time from the message, or else from the flow. Fields that this release does not know are kept.
func toEvent(body []byte) (*hubble.Event, error) {
	var message observerpb.ExportEvent
	if err := proto.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	event := &hubble.Event{Timestamp: message.GetTime()}
	switch found := message.GetResponseTypes().(type) {
	case *observerpb.ExportEvent_Flow:
		event.Event = found.Flow
		if event.Timestamp == nil {
			event.Timestamp = found.Flow.GetTime()
		}
	case *observerpb.ExportEvent_LostEvents:
		event.Event = found.LostEvents
	case *observerpb.ExportEvent_AgentEvent:
		event.Event = found.AgentEvent
	case *observerpb.ExportEvent_DebugEvent:
		event.Event = found.DebugEvent
	default:
		return nil, fmt.Errorf("an event of type %T", found)
	}
	return event, nil
}
