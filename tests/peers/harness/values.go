// Agent and access-log events as the agent sends them, from a seed.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/json"
	"flag"
	"math/rand"
	"os"
	"reflect"

	"github.com/cilium/cilium/pkg/monitor/api"
)

func values(arguments *flag.FlagSet, _ *bufio.Reader, out *bufio.Writer) error {
	seed := arguments.Int64("seed", 1, "of the random numbers")
	count := arguments.Int("count", 1000, "how many; every fourth is an agent event")
	shift := arguments.Int("shift", 0, "types that take ids before the first")
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	shiftTypes(*shift)
	random := rand.New(rand.NewSource(*seed))
	for number := 0; number < *count; number++ {
		if err := writeValue(out, random, number); err != nil {
			return err
		}
	}
	return nil
}

// writeValue writes the Data of a payload, then what it is.
func writeValue(out *bufio.Writer, random *rand.Rand, number int) error {
	data := []byte{api.MessageTypeAccessLog}
	var event any = logRecord(random)
	if number%4 == 0 {
		message := agentMessage(random)
		notify, err := message.ToJSON()
		if err != nil {
			return err
		}
		data[0], event = api.MessageTypeAgent, &notify
	}
	buffer := bytes.NewBuffer(data)
	if err := gob.NewEncoder(buffer).Encode(event); err != nil {
		return err
	}
	if err := writeFrame(out, buffer.Bytes()); err != nil {
		return err
	}
	is, err := nature(reflect.ValueOf(event))
	if err != nil {
		return err
	}
	text, err := json.Marshal(is)
	if err != nil {
		return err
	}
	return writeFrame(out, text)
}
