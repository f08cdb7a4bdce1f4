// What Go needs for what ours is measured by: lines of a name and the ns of one operation.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	observer "github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/monitor/payload"
)

func bench(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	fmt.Fprintf(out, "gob-encode %.1f\n", perOperation(benchEncode))
	fmt.Fprintf(out, "gob-decode %.1f\n", perOperation(benchDecode))
	// The payloads to parse come as frames: those that ours is measured by.
	number := 0
	return eachFrame(in, func(data []byte) error {
		ns, err := benchParse(data)
		fmt.Fprintf(out, "parse-%d %.1f\n", number, ns)
		number++
		return err
	})
}

func perOperation(run func(b *testing.B)) float64 {
	result := testing.Benchmark(run)
	return float64(result.T.Nanoseconds()) / float64(result.N)
}

// usual is a trace of 48 bytes with a packet of 136: 184 bytes.
func usual() *payload.Payload {
	return &payload.Payload{Data: bytes.Repeat([]byte{4}, 184), CPU: 3, Type: payload.EventSample}
}

func benchEncode(b *testing.B) {
	encoder, one := gob.NewEncoder(io.Discard), usual()
	for i := 0; i < b.N; i++ {
		if err := one.EncodeBinary(encoder); err != nil {
			b.Fatal(err)
		}
	}
}

// endless repeats a stream's values after its beginning, without ever ending.
type endless struct{ value, left []byte }

func (stream *endless) Read(into []byte) (int, error) {
	if len(stream.left) == 0 {
		stream.left = stream.value
	}
	count := copy(into, stream.left)
	stream.left = stream.left[count:]
	return count, nil
}

// ReadByte keeps the decoder from putting a buffered reader in between.
func (stream *endless) ReadByte() (byte, error) {
	var one [1]byte
	_, err := stream.Read(one[:])
	return one[0], err
}

func benchDecode(b *testing.B) {
	var buffer bytes.Buffer
	encoder := gob.NewEncoder(&buffer)
	if err := usual().EncodeBinary(encoder); err != nil {
		b.Fatal(err)
	}
	first := bytes.Clone(buffer.Bytes())
	buffer.Reset()
	if err := usual().EncodeBinary(encoder); err != nil {
		b.Fatal(err)
	}
	decoder := gob.NewDecoder(&endless{value: buffer.Bytes(), left: first})
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		var one payload.Payload
		if err := one.DecodeBinary(decoder); err != nil {
			b.Fatal(err)
		}
	}
}

func benchParse(data []byte) (float64, error) {
	parser, err := newParser()
	if err != nil {
		return 0, err
	}
	event := &observer.MonitorEvent{Payload: &observer.PerfEvent{Data: data}}
	ns := perOperation(func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			if _, err = parser.Decode(event); err != nil {
				b.FailNow()
			}
		}
	})
	return ns, err
}
