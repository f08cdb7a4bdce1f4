// A peer service with scripted answers: Cilium's own can't give a port or a unix path.
package main

import (
	"sync"

	peerpb "github.com/cilium/cilium/api/v1/peer"
)

// scriptedPeers keeps all changes: a watcher that comes late gets them all, which leaves it with the same peers.
type scriptedPeers struct {
	mutex   sync.Mutex
	changes []*peerpb.ChangeNotification
	// more is closed when there are more.
	more chan struct{}
}

func newScriptedPeers() *scriptedPeers {
	return &scriptedPeers{more: make(chan struct{})}
}

func (peers *scriptedPeers) notify(change *peerpb.ChangeNotification) {
	peers.mutex.Lock()
	defer peers.mutex.Unlock()
	peers.changes = append(peers.changes, change)
	close(peers.more)
	peers.more = make(chan struct{})
}

func (peers *scriptedPeers) from(next int) ([]*peerpb.ChangeNotification, <-chan struct{}) {
	peers.mutex.Lock()
	defer peers.mutex.Unlock()
	return peers.changes[next:], peers.more
}

// Notify implements Cilium's peerpb.PeerServer.
func (peers *scriptedPeers) Notify(_ *peerpb.NotifyRequest, stream peerpb.Peer_NotifyServer) error {
	for sent := 0; ; {
		changes, more := peers.from(sent)
		for _, change := range changes {
			if err := stream.Send(change); err != nil {
				return err
			}
			sent++
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return nil
		}
	}
}
