// Access-log records from random numbers: of every protocol, and with everything that may be absent.
package main

import (
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cilium/cilium/pkg/proxy/accesslog"
)

// pick gives one of them.
func pick[T any](random *rand.Rand, from ...T) T {
	return from[random.Intn(len(from))]
}

// some gives any number of them, none included.
func some[T any](random *rand.Rand, from ...T) (list []T) {
	for range random.Perm(len(from))[:random.Intn(len(from)+1)] {
		list = append(list, pick(random, from...))
	}
	return list
}

func logRecord(random *rand.Rand) *accesslog.LogRecord {
	record := &accesslog.LogRecord{
		Type:                pick(random, accesslog.TypeRequest, accesslog.TypeResponse, accesslog.TypeSample),
		Timestamp:           timestamp(random),
		NodeAddressInfo:     accesslog.NodeAddressInfo{IPv4: pick(random, "", "192.168.0.7"), IPv6: pick(random, "", "fd00::7")},
		ObservationPoint:    pick(random, accesslog.Ingress, accesslog.Egress),
		SourceEndpoint:      endpoint(random),
		DestinationEndpoint: endpoint(random),
		IPVersion:           pick(random, accesslog.VersionIPv4, accesslog.VersionIPV6),
		Verdict:             pick[accesslog.FlowVerdict](random, "Forwarded", "Denied", "Error", "Redirected"),
		Info:                pick(random, "", "rule 7"),
		Metadata:            some(random, "one", "two"),
		TransportProtocol:   pick[accesslog.TransportProtocol](random, 0, 6, 17),
		FlowEvent:           pick(random, "", accesslog.FlowAdded),
	}
	if record.IPVersion == accesslog.VersionIPV6 {
		record.SourceEndpoint.IPv4, record.DestinationEndpoint.IPv4 = "", ""
	} else {
		record.SourceEndpoint.IPv6, record.DestinationEndpoint.IPv6 = "", ""
	}
	if random.Intn(3) == 0 {
		record.ServiceInfo = &accesslog.ServiceInfo{
			Name:   pick(random, "", "web"),
			IPPort: accesslog.IPPort{IP: pick(random, "", "10.1.0.1"), Port: pick[uint16](random, 0, 443)},
		}
	}
	if record.Verdict == accesslog.VerdictDenied {
		reason := pick[accesslog.DropReason](random, 0, 181)
		record.DropReason = &reason
	}
	protocol(random, record)
	return record
}

func protocol(random *rand.Rand, record *accesslog.LogRecord) {
	switch random.Intn(9) {
	case 0, 1, 2:
		record.HTTP = httpRecord(random)
	case 3, 4:
		record.DNS = dnsRecord(random)
	case 5, 6:
		record.Kafka = &accesslog.LogRecordKafka{
			ErrorCode:     pick(random, 0, 0, 3, -1),
			APIVersion:    pick[int16](random, 0, 5, -1),
			APIKey:        pick(random, "produce", "fetch", ""),
			CorrelationID: pick(random, 0, random.Int31(), -random.Int31()),
			Topic:         accesslog.KafkaTopic{Topic: pick(random, "", "orders")},
		}
	case 7:
		record.L7 = &accesslog.LogRecordL7{Proto: pick(random, "", "memcache", "r2d2")}
		if random.Intn(3) > 0 {
			record.L7.Fields = map[string]string{}
			for i := random.Intn(4); i > 0; i-- {
				record.L7.Fields[pick(random, "key", "opcode", "")] = pick(random, "", "get", "é\x00\n")
			}
		}
	}
}

func timestamp(random *rand.Rand) string {
	moment := time.Unix(1700000000+random.Int63n(1e7), random.Int63n(1e9)).UTC()
	return pick(random, moment.Format(time.RFC3339Nano), moment.Format(time.RFC3339Nano), moment.Format(time.RFC3339))
}

func endpoint(random *rand.Rand) accesslog.EndpointInfo {
	return accesslog.EndpointInfo{
		ID:       pick(random, 0, 7, uint64(random.Intn(1<<16))),
		IPv4:     fmt.Sprintf("10.0.%d.%d", random.Intn(4), random.Intn(256)),
		IPv6:     fmt.Sprintf("fd00::%x", random.Intn(1<<16)),
		Port:     pick(random, 0, 53, 80, uint16(random.Intn(1<<16))),
		Identity: pick(random, 0, 2, uint64(random.Uint32())),
		Labels:   some(random, "k8s:app=web", "k8s:io.kubernetes.pod.namespace=default", "reserved:world", "unspec:a"),
	}
}

func httpRecord(random *rand.Rand) *accesslog.LogRecordHTTP {
	record := &accesslog.LogRecordHTTP{
		Code:     pick(random, 0, 200, 403, 503),
		Method:   pick(random, "GET", "POST", ""),
		Protocol: pick(random, "HTTP/1.1", "HTTP/2", ""),
	}
	if random.Intn(5) > 0 {
		record.URL = address(random)
	}
	for _, headers := range []*http.Header{&record.Headers, &record.MissingHeaders, &record.RejectedHeaders} {
		if random.Intn(2) == 0 {
			*headers = http.Header{}
			for _, name := range some(random, "Host", "X-Request-Id", "Traceparent", "User-Agent") {
				(*headers)[name] = some(random, "a", "", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			}
		}
	}
	return record
}

func address(random *rand.Rand) *url.URL {
	parsed, err := url.Parse(pick(random,
		"http://web.default.svc/a?b=c#d", "https://user:secret@example.com:8443/", "/only/a/path", "", "opaque:x"))
	if err != nil {
		panic(err)
	}
	return parsed
}

func dnsRecord(random *rand.Rand) *accesslog.LogRecordDNS {
	record := &accesslog.LogRecordDNS{
		Query:             pick(random, "", "example.com.", "web.default.svc.cluster.local."),
		TTL:               pick(random, 0, 30, random.Uint32()),
		CNAMEs:            some(random, "a.example.com.", "b.example.com."),
		ObservationSource: pick(random, "", accesslog.DNSSourceProxy),
		RCode:             pick(random, 0, 0, 2, 3),
		QTypes:            some[uint16](random, 1, 28, 65),
		AnswerTypes:       some[uint16](random, 1, 28, 5),
	}
	record.IPs = some(random, net.ParseIP("93.184.216.34"), net.IPv4(10, 0, 0, 1).To4(), net.ParseIP("2001:db8::1"))
	return record
}
