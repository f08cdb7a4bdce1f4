// Agent events: from random numbers, and from the JSON that they travel as.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"time"

	"github.com/cilium/cilium/pkg/monitor/api"
)

func agentMessage(random *rand.Rand) api.AgentNotifyMessage {
	kind := api.AgentNotification(2 + random.Intn(12))
	return api.AgentNotifyMessage{Type: kind, Notification: notification(random, kind)}
}

func notification(random *rand.Rand, kind api.AgentNotification) any {
	regenerated := api.EndpointRegenNotification{
		ID:     pick(random, 0, uint64(random.Intn(1<<16))),
		Labels: some(random, "k8s:app=web", "reserved:host"),
		Error:  pick(random, "", "no such \"thing\"\n"),
	}
	switch kind {
	case api.AgentNotifyStart:
		return api.TimeNotification{Time: time.Unix(1700000000, random.Int63n(1e9)).UTC().Format(time.RFC3339Nano)}
	case api.AgentNotifyEndpointRegenerateSuccess, api.AgentNotifyEndpointRegenerateFail:
		return regenerated
	case api.AgentNotifyPolicyUpdated, api.AgentNotifyPolicyDeleted:
		return api.PolicyUpdateNotification{
			Labels:    some(random, "k8s:name=p", "k8s:x"),
			Revision:  pick(random, 0, random.Uint64()),
			RuleCount: pick(random, 0, 3),
		}
	case api.AgentNotifyEndpointCreated, api.AgentNotifyEndpointDeleted:
		return api.EndpointNotification{
			EndpointRegenNotification: regenerated,
			PodName:                   pick(random, "", "web-1"),
			Namespace:                 pick(random, "", "default"),
		}
	case api.AgentNotifyIPCacheUpserted, api.AgentNotifyIPCacheDeleted:
		return ipcacheNotification(random)
	case api.AgentNotifyServiceUpserted:
		return serviceNotification(random)
	case api.AgentNotifyServiceDeleted:
		return api.ServiceDeleteNotification{ID: random.Uint32()}
	}
	return map[string]int{"unknown": random.Intn(10)}
}

func ipcacheNotification(random *rand.Rand) api.IPCacheNotification {
	old := pick(random, 0, random.Uint32())
	return api.IPCacheNotification{
		CIDR:        pick(random, "10.0.0.1/32", "fd00::/64", ""),
		Identity:    random.Uint32(),
		OldIdentity: pick(random, nil, &old),
		HostIP:      pick(random, nil, net.IPv4(192, 168, 0, 1), net.ParseIP("fd00::1")),
		OldHostIP:   pick(random, nil, net.IPv4(192, 168, 0, 2)),
		EncryptKey:  pick[uint8](random, 0, 3),
		Namespace:   pick(random, "", "default"),
		PodName:     pick(random, "", "web-1"),
	}
}

func serviceNotification(random *rand.Rand) api.ServiceUpsertNotification {
	address := func() api.ServiceUpsertNotificationAddr {
		return api.ServiceUpsertNotificationAddr{
			IP:   pick(random, net.IPv4(10, 1, 0, byte(random.Intn(256))), net.ParseIP("fd00::1:1")),
			Port: uint16(random.Intn(1 << 16)),
		}
	}
	policy := pick(random, "", "Cluster", "Local")
	return api.ServiceUpsertNotification{
		ID:               random.Uint32(),
		Frontend:         address(),
		Backends:         some(random, address(), address()),
		Type:             pick(random, "", "ClusterIP", "NodePort"),
		TrafficPolicy:    policy,
		ExtTrafficPolicy: policy,
		IntTrafficPolicy: pick(random, "", "Cluster"),
		Name:             pick(random, "", "web"),
		Namespace:        pick(random, "", "default"),
	}
}

// fromNotify gives the message that an agent's own consumers get, before it becomes JSON.
func fromNotify(notify api.AgentNotify) (api.AgentNotifyMessage, error) {
	message := api.AgentNotifyMessage{Type: notify.Type}
	var err error
	switch notify.Type {
	case api.AgentNotifyStart:
		message.Notification, err = read[api.TimeNotification](notify.Text)
	case api.AgentNotifyEndpointRegenerateSuccess, api.AgentNotifyEndpointRegenerateFail:
		message.Notification, err = read[api.EndpointRegenNotification](notify.Text)
	case api.AgentNotifyPolicyUpdated, api.AgentNotifyPolicyDeleted:
		message.Notification, err = read[api.PolicyUpdateNotification](notify.Text)
	case api.AgentNotifyEndpointCreated, api.AgentNotifyEndpointDeleted:
		message.Notification, err = read[api.EndpointNotification](notify.Text)
	case api.AgentNotifyIPCacheUpserted, api.AgentNotifyIPCacheDeleted:
		message.Notification, err = read[api.IPCacheNotification](notify.Text)
	case api.AgentNotifyServiceUpserted:
		message.Notification, err = read[api.ServiceUpsertNotification](notify.Text)
	case api.AgentNotifyServiceDeleted:
		message.Notification, err = read[api.ServiceDeleteNotification](notify.Text)
	default:
		message.Notification = json.RawMessage(notify.Text)
	}
	if err != nil {
		return message, fmt.Errorf("agent event %d: %w", notify.Type, err)
	}
	return message, nil
}

func read[T any](text string) (any, error) {
	var value T
	err := json.Unmarshal([]byte(text), &value)
	return value, err
}
