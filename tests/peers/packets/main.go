// The packets in notifications, decoded by the library that Cilium 1.20's Hubble decodes them by: frames in, lines of JSON
// out. What Cilium 1.20 adds to the library is which layers it knows, where it begins, and that a tunnel's packet takes the
// outer one's place.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// longestFrame is far above any packet: what is longer is no frame.
const longestFrame = 1 << 20

func main() {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	err := run(bufio.NewReaderSize(os.Stdin, 1<<16), out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packets:", err)
		os.Exit(1)
	}
}

// run answers each frame, the flags of a notification and the packet behind it, with a line.
func run(in io.Reader, out io.Writer) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
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
			return err
		}
		if err := lines.Encode(decode(frame[0], frame[1:])); err != nil {
			return err
		}
	}
}
