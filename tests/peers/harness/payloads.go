// The monitor's gob stream, written and read by Go.
package main

import (
	"bufio"
	"encoding/gob"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/cilium/cilium/pkg/monitor/payload"
)

func gobEncode(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	shift := arguments.Int("shift", 0, "types that take ids before the payload's")
	foreign := arguments.Bool("foreign", false, "a Payload with its fields in another order, and others between them")
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	shiftTypes(*shift)
	encoder := gob.NewEncoder(out)
	count := 0
	return eachFrame(in, func(frame []byte) error {
		payload, err := fromRecord(frame)
		if err != nil {
			return err
		}
		count++
		if *foreign {
			return encoder.Encode(toForeign(payload, count))
		}
		return payload.EncodeBinary(encoder)
	})
}

func gobDecode(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	decoder := gob.NewDecoder(in)
	for {
		var next payload.Payload
		err := next.DecodeBinary(decoder)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err == nil {
			err = writeFrame(out, toRecord(&next))
		}
		if err != nil {
			// What was read before helps to find the place.
			return errors.Join(err, out.Flush())
		}
	}
}
