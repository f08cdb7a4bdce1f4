// Cilium's observer, fed with ready-made events: a monitor event of no matter what goes through all of its code, and its
// decoded form is replaced by the event at the last of its hooks, so that its counts and its ring are its own.
package main

import (
	"context"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	hubble "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/container"
	"github.com/cilium/cilium/pkg/hubble/observer"
	"github.com/cilium/cilium/pkg/hubble/observer/observeroption"
	"github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/monitor"
	"github.com/cilium/cilium/pkg/monitor/api"
	node "github.com/cilium/cilium/pkg/node/types"
)

// feedQueue holds what waits between the feeder and the observer; at most one event is in flight at a time.
const feedQueue = 1024

type fedObserver struct {
	*observer.LocalObserverServer
	namespaces observer.NamespaceManager
	// given has the events whose stand-ins are in the observer's channel, in the same order.
	given  chan *hubble.Event
	fed    uint64
	asFlow *types.MonitorEvent
	asElse *types.MonitorEvent
}

func newFedObserver(capacity int) (*fedObserver, error) {
	size, err := container.NewCapacity(capacity)
	if err != nil {
		return nil, err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	parser, err := newParser(nil)
	if err != nil {
		return nil, err
	}
	drop := make([]byte, monitor.DropNotifyLen)
	drop[0] = api.MessageTypeDrop
	fed := &fedObserver{
		namespaces: observer.NewNamespaceManager(),
		given:      make(chan *hubble.Event, feedQueue),
		// Only flows are counted as seen.
		asFlow: &types.MonitorEvent{Payload: &types.PerfEvent{Data: drop}},
		asElse: &types.MonitorEvent{Payload: &types.LostEvent{}},
	}
	fed.LocalObserverServer, err = observer.NewLocalServer(parser, fed.namespaces, log,
		observeroption.WithMaxFlows(size),
		observeroption.WithMonitorBuffer(feedQueue),
		observeroption.WithOnDecodedEventFunc(func(_ context.Context, event *hubble.Event) (bool, error) {
			given := <-fed.given
			event.Timestamp, event.Event = given.Timestamp, given.Event
			return false, nil
		}))
	if err == nil {
		go fed.Start()
	}
	return fed, err
}

func (fed *fedObserver) feed(event *hubble.Event) {
	standIn := fed.asElse
	if flow, ok := event.Event.(*flowpb.Flow); ok {
		standIn = fed.asFlow
		// As the observer's own code does, for the flow that it has decoded.
		fed.track(flow.GetSource())
		fed.track(flow.GetDestination())
	}
	fed.given <- event
	fed.GetEventsChannel() <- standIn
	fed.fed++
}

func (fed *fedObserver) track(end *flowpb.Endpoint) {
	if name := end.GetNamespace(); name != "" {
		fed.namespaces.AddNamespace(&observerpb.Namespace{Namespace: name, Cluster: node.GetClusterName()})
	}
}

// settle waits until all that was fed is in the ring.
func (fed *fedObserver) settle() {
	for fed.GetRingBuffer().LastWrite()+1 != fed.fed {
		time.Sleep(100 * time.Microsecond)
	}
}
