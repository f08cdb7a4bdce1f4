// The agent that Cilium's monitor server asks for: it hands on the payloads that it is given.
package main

import (
	"errors"
	"sync"

	"github.com/cilium/cilium/api/v1/models"
	"github.com/cilium/cilium/pkg/monitor/agent/consumer"
	"github.com/cilium/cilium/pkg/monitor/agent/listener"
	"github.com/cilium/cilium/pkg/monitor/payload"
)

// fedAgent implements the agent interface of pkg/monitor/agent for listeners alone.
type fedAgent struct {
	mutex     sync.Mutex
	listeners map[listener.MonitorListener]struct{}
}

func newFedAgent() *fedAgent {
	return &fedAgent{listeners: map[listener.MonitorListener]struct{}{}}
}

func (agent *fedAgent) RegisterNewListener(joined listener.MonitorListener) {
	agent.mutex.Lock()
	defer agent.mutex.Unlock()
	agent.listeners[joined] = struct{}{}
}

// RemoveListener closes it too, as Cilium's own agent does.
func (agent *fedAgent) RemoveListener(gone listener.MonitorListener) {
	agent.mutex.Lock()
	defer agent.mutex.Unlock()
	delete(agent.listeners, gone)
	gone.Close()
}

// send gives a payload to every listener, and returns how many there are.
func (agent *fedAgent) send(one *payload.Payload) int {
	agent.mutex.Lock()
	defer agent.mutex.Unlock()
	for listener := range agent.listeners {
		listener.Enqueue(one)
	}
	return len(agent.listeners)
}

func (agent *fedAgent) count() int {
	agent.mutex.Lock()
	defer agent.mutex.Unlock()
	return len(agent.listeners)
}

// closeAll ends every connection, with what is still in its queue.
func (agent *fedAgent) closeAll() {
	agent.mutex.Lock()
	defer agent.mutex.Unlock()
	for listener := range agent.listeners {
		listener.Close()
	}
	clear(agent.listeners)
}

func (agent *fedAgent) State() *models.MonitorStatus                 { return nil }
func (agent *fedAgent) RegisterNewConsumer(consumer.MonitorConsumer) {}
func (agent *fedAgent) RemoveConsumer(consumer.MonitorConsumer)      {}
func (agent *fedAgent) AttachToEventsMap(int) error                  { return errors.ErrUnsupported }
func (agent *fedAgent) SendEvent(int, any) error                     { return errors.ErrUnsupported }
