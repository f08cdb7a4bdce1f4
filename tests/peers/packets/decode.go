// From layer to layer, as gopacket's own parser goes: up to the first that carries nothing or is not known.
package main

import (
	"fmt"
	"maps"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Flags of a notification.
const (
	isIPv6 = 1 << iota
	isL3Device
	isVXLAN
	isGeneve
)

// message is one of protobuf's, as JSON.
type message = map[string]any

// fields of a flow that stand for a layer each.
var fields = []string{"ethernet", "IP", "l4", "Summary"}

// decode gives the layers, or the error that Hubble loses the event by and what was `found` before it.
func decode(flags byte, packet []byte) message {
	flow := message{}
	if len(packet) == 0 {
		return flow
	}
	var udp layers.UDP
	first := layers.LayerTypeEthernet
	switch {
	case flags&isL3Device == 0:
	case flags&isIPv6 != 0:
		first = layers.LayerTypeIPv6
	default:
		first = layers.LayerTypeIPv4
	}
	walk := walk{flow: flow}
	if err := walk.run(known(&udp), first, packet); err != nil {
		return message{"error": err.Error(), "found": flow}
	}
	var protocol string
	switch {
	case flags&isVXLAN != 0:
		first, protocol = layers.LayerTypeVXLAN, "VXLAN"
	case flags&isGeneve != 0:
		first, protocol = layers.LayerTypeGeneve, "GENEVE"
	default:
		return flow
	}
	outer := maps.Clone(flow)
	walk.tunnel = message{"protocol": protocol, "IP": flow["IP"], "l4": flow["l4"]}
	err := walk.run(append(known(&layers.UDP{}), &layers.VXLAN{}, &layers.Geneve{}), first, udp.Payload)
	switch {
	case err == nil:
		return walk.flow
	case walk.depth == 0:
		return message{"error": "overlay: " + err.Error(), "found": outer}
	case walk.depth > 1 && !walk.hasIP:
		// What stood behind the port was no tunnel.
		return message{"error": "nested: " + err.Error(), "found": walk.before}
	}
	if !walk.hasL4 {
		delete(walk.flow, "l4")
	}
	return message{"error": "overlay: " + err.Error(), "found": walk.flow}
}

func known(udp *layers.UDP) []gopacket.DecodingLayer {
	return []gopacket.DecodingLayer{
		&layers.Ethernet{}, &layers.IPv4{}, &layers.IPv6{}, &layers.ICMPv4{}, &layers.ICMPv6{}, &layers.TCP{}, udp,
		&layers.SCTP{}, &layers.VRRPv2{}, &layers.IGMPv1or2{},
	}
}

// walk is a way through a packet's layers, each written into the flow.
type walk struct {
	flow message
	// The tunnel that a VXLAN or Geneve header opens.
	tunnel message
	// How many tunnel headers were met.
	depth int
	// What was there before the last of them, and what came since.
	before       message
	hasIP, hasL4 bool
}

func (w *walk) run(decoders []gopacket.DecodingLayer, kind gopacket.LayerType, data []byte) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	byType := gopacket.DecodingLayerContainer(gopacket.DecodingLayerMap{})
	for _, decoder := range decoders {
		byType = byType.Put(decoder)
	}
	for {
		decoder, ok := byType.Decoder(kind)
		if !ok {
			return nil
		}
		if err := decoder.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		w.add(decoder, kind)
		kind, data = decoder.NextLayerType(), decoder.LayerPayload()
		if len(data) == 0 {
			return nil
		}
	}
}

// add writes what a layer is.
func (w *walk) add(decoder gopacket.DecodingLayer, kind gopacket.LayerType) {
	w.flow["Summary"] = kind.String()
	switch layer := decoder.(type) {
	case *layers.VXLAN:
		w.open("VXLAN", layer.VNI)
	case *layers.Geneve:
		w.open("GENEVE", layer.VNI)
	case *layers.Ethernet:
		w.flow["ethernet"] = message{"source": layer.SrcMAC.String(), "destination": layer.DstMAC.String()}
	case *layers.IPv4:
		w.addIP("IPv4", layer.SrcIP.String(), layer.DstIP.String())
	case *layers.IPv6:
		w.addIP("IPv6", layer.SrcIP.String(), layer.DstIP.String())
	default:
		w.flow["l4"], w.flow["Summary"] = transport(decoder, kind)
		w.hasL4 = true
	}
}

// open begins a tunnel's packet. The first takes all of the outer one's place, a further one layer by layer.
func (w *walk) open(protocol string, vni uint32) {
	w.depth++
	if w.depth == 1 {
		for _, field := range fields {
			delete(w.flow, field)
		}
		w.flow["tunnel"] = w.tunnel
	}
	w.before, w.hasIP, w.hasL4 = maps.Clone(w.flow), false, false
	tunnel := maps.Clone(w.tunnel)
	if protocol == tunnel["protocol"] {
		delete(tunnel, "vni")
		set(tunnel, "vni", vni)
	}
	w.flow["tunnel"], w.tunnel = tunnel, tunnel
}

func (w *walk) addIP(version, source, destination string) {
	w.flow["IP"] = message{"source": source, "destination": destination, "ipVersion": version}
	w.hasIP = true
}
