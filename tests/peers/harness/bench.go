// What Go needs for what ours is measured by: lines of a name, the ns of one operation at its best, and the ns of all
// CPUs in the mean, which has the garbage collector's part.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"time"

	observer "github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/monitor/payload"
)

func bench(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	print := func(name string, run func() error) error {
		best, mean, err := perOperation(run)
		fmt.Fprintf(out, "%s %.1f %.1f\n", name, best, mean)
		return err
	}
	decode, err := decodes()
	if err == nil {
		err = errors.Join(print("gob-encode", encodes()), print("gob-decode", decode))
	}
	if err != nil {
		return err
	}
	// The payloads to parse come as frames: those that ours is measured by.
	number := 0
	return eachFrame(in, func(data []byte) error {
		parser, err := newParser(nil)
		if err != nil {
			return err
		}
		event := &observer.MonitorEvent{Payload: &observer.PerfEvent{Data: data}}
		number++
		return print(fmt.Sprintf("parse-%d", number-1), func() error {
			_, err := parser.Decode(event)
			return err
		})
	})
}

// perOperation gives the best of many short rounds, since noise only adds, and the mean of all in CPU time.
func perOperation(run func() error) (float64, float64, error) {
	const rounds, operations = 1000, 1000
	best := time.Duration(math.MaxInt64)
	before := cpuTime()
	for round := 0; round < rounds; round++ {
		start := time.Now()
		for i := 0; i < operations; i++ {
			if err := run(); err != nil {
				return 0, 0, err
			}
		}
		best = min(best, time.Since(start))
	}
	mean := float64(cpuTime()-before) / (rounds * operations)
	return float64(best.Nanoseconds()) / operations, mean, nil
}

// cpuTime is that of all threads, in ns.
func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// usual is a trace of 48 bytes with a packet of 136: 184 bytes.
func usual() *payload.Payload {
	return &payload.Payload{Data: bytes.Repeat([]byte{4}, 184), CPU: 3, Type: payload.EventSample}
}

func encodes() func() error {
	encoder, one := gob.NewEncoder(io.Discard), usual()
	return func() error { return one.EncodeBinary(encoder) }
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

func decodes() (func() error, error) {
	var buffer bytes.Buffer
	encoder := gob.NewEncoder(&buffer)
	if err := usual().EncodeBinary(encoder); err != nil {
		return nil, err
	}
	first := bytes.Clone(buffer.Bytes())
	buffer.Reset()
	if err := usual().EncodeBinary(encoder); err != nil {
		return nil, err
	}
	decoder := gob.NewDecoder(&endless{value: buffer.Bytes(), left: first})
	return func() error {
		var one payload.Payload
		return one.DecodeBinary(decoder)
	}, nil
}
