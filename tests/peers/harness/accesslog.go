// Access-log records as a test writes them, in the bytes that the agent sends.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/json"
	"flag"
	"os"

	"github.com/cilium/cilium/pkg/monitor/api"
	"github.com/cilium/cilium/pkg/proxy/accesslog"
)

func accessLog(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	return eachFrame(in, func(frame []byte) error {
		decoder := json.NewDecoder(bytes.NewReader(frame))
		// A field that is misspelt would be one that is not tested.
		decoder.DisallowUnknownFields()
		var record accesslog.LogRecord
		if err := decoder.Decode(&record); err != nil {
			return err
		}
		buffer := bytes.NewBuffer([]byte{api.MessageTypeAccessLog})
		if err := gob.NewEncoder(buffer).Encode(&record); err != nil {
			return err
		}
		return writeFrame(out, buffer.Bytes())
	})
}
