// The names that a parser knows: none, or those of a world in a file.
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	v1 "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/testutils"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/ipcache"
	"github.com/cilium/cilium/pkg/labels"
)

// world is the file: endpoints, identities, addresses, services, DNS names and links.
type world struct {
	Endpoints []struct {
		ID        uint64   `json:"id"`
		IPv4      string   `json:"ipv4"`
		IPv6      string   `json:"ipv6"`
		Identity  uint32   `json:"identity"`
		Namespace string   `json:"namespace"`
		Pod       string   `json:"pod"`
		Labels    []string `json:"labels"`
	} `json:"endpoints"`
	Identities []struct {
		ID     uint32   `json:"id"`
		Labels []string `json:"labels"`
	} `json:"identities"`
	IPCache []struct {
		Prefix    netip.Prefix `json:"prefix"`
		Identity  uint32       `json:"identity"`
		Namespace string       `json:"namespace"`
		Pod       string       `json:"pod"`
	} `json:"ipcache"`
	Services []struct {
		IP        netip.Addr `json:"ip"`
		Port      uint16     `json:"port"`
		Name      string     `json:"name"`
		Namespace string     `json:"namespace"`
	} `json:"services"`
	DNS []struct {
		IP       netip.Addr `json:"ip"`
		Endpoint uint32     `json:"endpoint"`
		Names    []string   `json:"names"`
	} `json:"dns"`
	Links []struct {
		Index uint32 `json:"index"`
		Name  string `json:"name"`
	} `json:"links"`
}

// readWorld reads a world; that of the empty path is nil.
func readWorld(path string) (*world, error) {
	if path == "" {
		return nil, nil
	}
	var found world
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &found, json.Unmarshal(text, &found)
}

func (w *world) endpointGetter() *testutils.FakeEndpointGetter {
	find := func(matches func(id uint64, addresses [2]string) bool) (v1.EndpointInfo, bool) {
		for _, row := range w.Endpoints {
			if matches(row.ID, [2]string{row.IPv4, row.IPv6}) {
				return &testutils.FakeEndpointInfo{
					ID:           row.ID,
					Identity:     identity.NumericIdentity(row.Identity),
					PodName:      row.Pod,
					PodNamespace: row.Namespace,
					Labels:       row.Labels,
				}, true
			}
		}
		return nil, false
	}
	return &testutils.FakeEndpointGetter{
		OnGetEndpointInfo: func(ip netip.Addr) (v1.EndpointInfo, bool) {
			text := ip.String()
			return find(func(_ uint64, addresses [2]string) bool {
				return addresses[0] == text || addresses[1] != "" && netip.MustParseAddr(addresses[1]) == ip
			})
		},
		OnGetEndpointInfoByID: func(id uint16) (v1.EndpointInfo, bool) {
			return find(func(known uint64, _ [2]string) bool { return known == uint64(id) })
		},
	}
}

func (w *world) identityGetter() *testutils.FakeIdentityGetter {
	return &testutils.FakeIdentityGetter{OnGetIdentity: func(id uint32) (*identity.Identity, error) {
		for _, row := range w.Identities {
			if row.ID == id {
				known := labels.NewLabelsFromModel(row.Labels)
				return identity.NewIdentity(identity.NumericIdentity(id), known), nil
			}
		}
		return nil, fmt.Errorf("no identity %d", id)
	}}
}

func (w *world) dnsGetter() *testutils.FakeFQDNCache {
	return &testutils.FakeFQDNCache{OnGetNamesOf: func(endpoint uint32, ip netip.Addr) []string {
		for _, row := range w.DNS {
			if row.IP == ip && (row.Endpoint == 0 || row.Endpoint == endpoint) {
				return row.Names
			}
		}
		return nil
	}}
}

func (w *world) ipGetter() *testutils.FakeIPGetter {
	return &testutils.FakeIPGetter{
		OnGetK8sMetadata: func(ip netip.Addr) *ipcache.K8sMetadata {
			for _, row := range w.IPCache {
				if row.Pod != "" && row.Prefix.IsSingleIP() && row.Prefix.Addr() == ip {
					return &ipcache.K8sMetadata{Namespace: row.Namespace, PodName: row.Pod}
				}
			}
			return nil
		},
		OnLookupSecIDByIP: func(ip netip.Addr) (ipcache.Identity, bool) {
			longest, found := -1, ipcache.Identity{}
			for _, row := range w.IPCache {
				if row.Prefix.Contains(ip) && row.Prefix.Bits() > longest {
					longest, found = row.Prefix.Bits(), ipcache.Identity{ID: identity.NumericIdentity(row.Identity)}
				}
			}
			return found, longest >= 0
		},
	}
}

func (w *world) serviceGetter() *testutils.FakeServiceGetter {
	return &testutils.FakeServiceGetter{OnGetServiceByAddr: func(ip netip.Addr, port uint16) *flowpb.Service {
		for _, row := range w.Services {
			if row.IP == ip && row.Port == port {
				return &flowpb.Service{Name: row.Name, Namespace: row.Namespace}
			}
		}
		return nil
	}}
}

// GetIfNameCached and Name make it the parser's source of links' names.
func (w *world) GetIfNameCached(index int) (string, bool) {
	for _, row := range w.Links {
		if int64(row.Index) == int64(index) {
			return row.Name, true
		}
	}
	return "", false
}

func (w *world) Name(index uint32) string {
	if name, ok := w.GetIfNameCached(int(index)); ok {
		return name
	}
	return strconv.FormatUint(uint64(index), 10)
}
