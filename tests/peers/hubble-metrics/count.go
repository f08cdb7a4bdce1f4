// Hubble's own handlers count flows. Each frame in starts with a byte for its kind:
//
//	T  handlers as in Cilium's `hubble.metrics.enabled`, separated by blanks: one more page, in the text format
//	O  the same, in the format OpenMetrics
//	F  a flow.Flow: every handler counts it
//
// After the end of the input comes each page in order: frames of its parts, and an empty frame.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/pkg/hubble/metrics/api"

	// Each handler registers itself.
	_ "github.com/cilium/cilium/pkg/hubble/metrics/dns"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/drop"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/flow"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/flows-to-world"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/http"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/icmp"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/policy"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/port-distribution"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/sctp"
	_ "github.com/cilium/cilium/pkg/hubble/metrics/tcp"
)

const (
	// longestFrame is far above any flow: what is longer is no frame.
	longestFrame = 1 << 20
	// longestPart is what the reader of a page takes at once.
	longestPart = 1 << 20
)

// counter is what stands behind one page.
type counter struct {
	isOpenMetrics bool
	registry      *prometheus.Registry
	handlers      []api.NamedHandler
}

func count(in io.Reader, out io.Writer) error {
	var counters []*counter
	flows := 0
	err := eachFrame(in, func(kind byte, body []byte) error {
		switch kind {
		case 'T', 'O':
			counter, err := configure(string(body), kind == 'O')
			counters = append(counters, counter)
			return err
		case 'F':
			flows++
			return process(counters, body, flows)
		default:
			return fmt.Errorf("a frame of kind %q", kind)
		}
	})
	if err != nil {
		return err
	}
	for _, counter := range counters {
		if err := counter.write(out); err != nil {
			return err
		}
	}
	return nil
}

// configure does what Cilium's agent does with its setting.
func configure(handlers string, isOpenMetrics bool) (*counter, error) {
	registry := prometheus.NewPedanticRegistry()
	config := api.ParseStaticMetricsConfig(strings.Fields(handlers))
	configured, err := api.DefaultRegistry().ConfigureHandlers(slog.New(slog.DiscardHandler), registry, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", handlers, err)
	}
	return &counter{isOpenMetrics: isOpenMetrics, registry: registry, handlers: *configured}, nil
}

func process(counters []*counter, body []byte, number int) error {
	flow := new(flowpb.Flow)
	if err := proto.Unmarshal(body, flow); err != nil {
		return fmt.Errorf("flow %d: %w", number, err)
	}
	for _, counter := range counters {
		for _, handler := range counter.handlers {
			if err := handler.Handler.ProcessFlow(context.Background(), flow); err != nil {
				return fmt.Errorf("flow %d: %s: %w", number, handler.Name, err)
			}
		}
	}
	return nil
}

// write writes the counter's page, as parts of a length that the reader takes.
func (counter *counter) write(out io.Writer) error {
	families, err := counter.registry.Gather()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	for _, family := range families {
		if counter.isOpenMetrics {
			_, err = expfmt.MetricFamilyToOpenMetrics(&page, family)
		} else {
			_, err = expfmt.MetricFamilyToText(&page, family)
		}
		if err != nil {
			return err
		}
	}
	for part := range slices.Chunk(page.Bytes(), longestPart) {
		if err := writeFrame(out, part); err != nil {
			return err
		}
	}
	return writeFrame(out, nil)
}

// eachFrame calls use with every frame, its kind and the rest, up to the end.
func eachFrame(in io.Reader, use func(kind byte, body []byte) error) error {
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		size := binary.LittleEndian.Uint32(length[:])
		if size < 1 || size > longestFrame {
			return fmt.Errorf("a frame of %d bytes", size)
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(in, frame); err != nil {
			return fmt.Errorf("inside a frame: %w", err)
		}
		if err := use(frame[0], frame[1:]); err != nil {
			return err
		}
	}
}

func writeFrame(out io.Writer, frame []byte) error {
	if _, err := out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(frame)))); err != nil {
		return err
	}
	_, err := out.Write(frame)
	return err
}
