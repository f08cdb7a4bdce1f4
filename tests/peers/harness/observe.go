// Cilium's Hubble server with Cilium's observer, and the peers that it is given. The first line out is `listening ADDRESS`.
// Each frame in starts with a byte for its kind:
//
//	E  an ExportEvent: into the ring
//	L  an ExportEvent: kept for R
//	R  u64 count, u64 a second: that many events into the ring, those kept over and over; 0 a second is as fast as it goes
//	P  a peer's ChangeNotification: to all present and later watchers of peers
//	M  a text: when all before it is in the ring, the line `marker TEXT COUNT` with the number of all events ever
//
// The end of the input ends the server. Cilium's ring hides its newest event until the next one is written.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	hubble "github.com/cilium/cilium/pkg/hubble/api/v1"
	grpcserver "github.com/cilium/cilium/pkg/hubble/server"
	"github.com/cilium/cilium/pkg/hubble/server/serveroption"
	"github.com/cilium/cilium/pkg/logging"
	node "github.com/cilium/cilium/pkg/node/types"
	"github.com/cilium/cilium/pkg/option"
)

// observing is what the frames act on.
type observing struct {
	observer *fedObserver
	peers    *scriptedPeers
	kept     []*hubble.Event
}

func observeServer(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	listen := arguments.String("listen", "127.0.0.1:0", "HOST:PORT, or unix:///PATH")
	capacity := arguments.Int("capacity", 4095, "events that the ring holds: 1, 3, 7 … 65535")
	name := arguments.String("node", "", "the node's name; the host's if empty")
	cluster := arguments.String("cluster", "default", "the cluster's name")
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	if *name != "" {
		node.SetName(*name)
	}
	option.Config.ClusterName = *cluster
	fed, err := newFedObserver(*capacity)
	if err != nil {
		return err
	}
	state := &observing{observer: fed, peers: newScriptedPeers()}
	network, address := "tcp", *listen
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	hubbleServer, err := grpcserver.NewServer(logging.DefaultLogger,
		// Of Cilium's own options for it, that for TCP does not give the port.
		func(options *serveroption.Options) error { options.Listener = listener; return nil },
		serveroption.WithInsecure(), serveroption.WithHealthService(),
		serveroption.WithObserverService(fed), serveroption.WithPeerService(state.peers))
	if err != nil {
		return err
	}
	defer hubbleServer.Stop()
	ended := make(chan error, 1)
	go func() { ended <- hubbleServer.Serve() }()
	if network == "tcp" {
		*listen = listener.Addr().String()
	}
	fmt.Fprintf(out, "listening %s\n", *listen)
	if err := out.Flush(); err != nil {
		return err
	}
	err = eachFrame(in, func(frame []byte) error {
		select {
		case err := <-ended:
			return fmt.Errorf("the server has ended: %w", err)
		default:
			return state.act(frame, out)
		}
	})
	return err
}

func (state *observing) act(frame []byte, out *bufio.Writer) error {
	if len(frame) == 0 {
		return fmt.Errorf("a frame without its kind")
	}
	switch kind, body := frame[0], frame[1:]; kind {
	case 'E', 'L':
		event, err := toEvent(body)
		if err != nil {
			return err
		}
		if kind == 'L' {
			state.kept = append(state.kept, event)
		} else {
			state.observer.feed(event)
		}
		return nil
	case 'R':
		if len(body) != 16 || len(state.kept) == 0 {
			return fmt.Errorf("nothing to repeat")
		}
		state.repeat(binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint64(body[8:]))
		return nil
	case 'P':
		change := new(peerpb.ChangeNotification)
		if err := proto.Unmarshal(body, change); err != nil {
			return err
		}
		state.peers.notify(change)
		return nil
	case 'M':
		state.observer.settle()
		fmt.Fprintf(out, "marker %s %d\n", body, state.observer.fed)
		return out.Flush()
	default:
		return fmt.Errorf("a frame of kind %q", kind)
	}
}

// repeat keeps to the rate in the mean, in steps that a sleep can be.
func (state *observing) repeat(count, second uint64) {
	start := time.Now()
	for i := uint64(0); i < count; i++ {
		state.observer.feed(state.kept[i%uint64(len(state.kept))])
		if second == 0 {
			continue
		}
		due := time.Duration(float64(i+1) / float64(second) * float64(time.Second))
		if ahead := due - time.Since(start); ahead > time.Millisecond {
			time.Sleep(ahead)
		}
	}
}
