// What the pipes carry: frames (u32 length, bytes) and payload records in them; all numbers little-endian.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/cilium/pkg/monitor/payload"
)

// longestFrame is far above any payload: what is longer is no frame.
const longestFrame = 16 << 20

// recordHeader is cpu (i64), lost (u64) and type (i64), in front of the data.
const recordHeader = 24

// readFrame gives io.EOF where the last frame has ended.
func readFrame(in io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size > longestFrame {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, fmt.Errorf("inside a frame: %w", err)
	}
	return frame, nil
}

func writeFrame(out io.Writer, frame []byte) error {
	if _, err := out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(frame)))); err != nil {
		return err
	}
	_, err := out.Write(frame)
	return err
}

// eachFrame calls use with every frame up to the end.
func eachFrame(in io.Reader, use func(frame []byte) error) error {
	for {
		frame, err := readFrame(in)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err == nil {
			err = use(frame)
		}
		if err != nil {
			return err
		}
	}
}

func toRecord(from *payload.Payload) []byte {
	record := make([]byte, recordHeader, recordHeader+len(from.Data))
	binary.LittleEndian.PutUint64(record[0:], uint64(from.CPU))
	binary.LittleEndian.PutUint64(record[8:], from.Lost)
	binary.LittleEndian.PutUint64(record[16:], uint64(from.Type))
	return append(record, from.Data...)
}

func fromRecord(record []byte) (*payload.Payload, error) {
	if len(record) < recordHeader {
		return nil, fmt.Errorf("a record of %d bytes", len(record))
	}
	return &payload.Payload{
		CPU:  int(binary.LittleEndian.Uint64(record[0:])),
		Lost: binary.LittleEndian.Uint64(record[8:]),
		Type: int(binary.LittleEndian.Uint64(record[16:])),
		Data: record[recordHeader:],
	}, nil
}
