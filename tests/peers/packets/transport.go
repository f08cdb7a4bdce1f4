// Transport layers as protobuf's JSON has them: what is zero is left out.
package main

import (
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// chunks that Hubble names.
var chunks = map[layers.SCTPChunkType]string{
	layers.SCTPChunkTypeInit:             "INIT",
	layers.SCTPChunkTypeInitAck:          "INIT_ACK",
	layers.SCTPChunkTypeShutdown:         "SHUTDOWN",
	layers.SCTPChunkTypeShutdownAck:      "SHUTDOWN_ACK",
	layers.SCTPChunkTypeShutdownComplete: "SHUTDOWN_COMPLETE",
	layers.SCTPChunkTypeAbort:            "ABORT",
}

// transport gives a layer, and the summary of a flow that ends with it.
func transport(decoder gopacket.DecodingLayer, kind gopacket.LayerType) (message, string) {
	switch layer := decoder.(type) {
	case *layers.TCP:
		return tcp(layer)
	case *layers.UDP:
		return message{"UDP": ports(uint32(layer.SrcPort), uint32(layer.DstPort))}, "UDP"
	case *layers.SCTP:
		fields := ports(uint32(layer.SrcPort), uint32(layer.DstPort))
		if len(layer.Payload) > 0 {
			if chunk, ok := chunks[layers.SCTPChunkType(layer.Payload[0])]; ok {
				fields["chunk_type"] = chunk
			}
		}
		return message{"SCTP": fields}, "SCTP"
	case *layers.ICMPv4:
		return icmp("ICMPv4", layer.TypeCode.Type(), layer.TypeCode.Code()), "ICMPv4 " + layer.TypeCode.String()
	case *layers.ICMPv6:
		return icmp("ICMPv6", layer.TypeCode.Type(), layer.TypeCode.Code()), "ICMPv6 " + layer.TypeCode.String()
	case *layers.VRRPv2:
		fields := message{}
		set(fields, "type", uint32(layer.Type))
		set(fields, "vrid", uint32(layer.VirtualRtrID))
		set(fields, "priority", uint32(layer.Priority))
		return message{"VRRP": fields}, "VRRP " + layer.Type.String()
	case *layers.IGMPv1or2:
		fields := message{"group_address": layer.GroupAddress.String()}
		set(fields, "type", uint32(layer.Type))
		return message{"IGMP": fields}, "IGMP " + layer.Type.String()
	}
	panic("a layer without a form: " + kind.String())
}

func tcp(layer *layers.TCP) (message, string) {
	flags, text := message{}, ""
	for _, flag := range []struct {
		name string
		is   bool
	}{
		{"SYN", layer.SYN}, {"ACK", layer.ACK}, {"RST", layer.RST}, {"FIN", layer.FIN}, {"PSH", layer.PSH},
		{"URG", layer.URG}, {"ECE", layer.ECE}, {"CWR", layer.CWR}, {"NS", layer.NS},
	} {
		if flag.is {
			if text != "" {
				text += ", "
			}
			flags[flag.name] = true
			text += flag.name
		}
	}
	fields := ports(uint32(layer.SrcPort), uint32(layer.DstPort))
	fields["flags"] = flags
	return message{"TCP": fields}, "TCP Flags: " + text
}

func ports(source, destination uint32) message {
	fields := message{}
	set(fields, "source_port", source)
	set(fields, "destination_port", destination)
	return fields
}

func icmp(name string, kind, code uint8) message {
	fields := message{}
	set(fields, "type", uint32(kind))
	set(fields, "code", uint32(code))
	return message{name: fields}
}

func set(fields message, name string, value uint32) {
	if value != 0 {
		fields[name] = value
	}
}
