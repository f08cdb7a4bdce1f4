// Cilium's own code behind pipes, so that tests can hold ours against it: one sub-command per file. Its go.mod is made by
// tests/peers/build.sh, from that of the Cilium release.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/cilium/cilium/pkg/logging"
)

// command is what stands behind one word of the command line.
type command struct {
	name, help string
	run        func(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error
}

var commands = []command{
	{"gob-encode", "payload records in, the monitor's gob stream out", gobEncode},
	{"gob-decode", "the monitor's gob stream in, payload records out", gobDecode},
	{"values", "agent and access-log events, each as a frame of its bytes and one of what it is", values},
	{"access-log", "frames of access-log records in JSON in, their events' bytes out", accessLog},
	{"serve-monitor", "Cilium's monitor server, in a mount namespace of its own", serveMonitor},
	{"parse", "frames of payloads in, Hubble's flows as lines of JSON out", parse},
	{"filters", "frames of events and of flow filters in, the answers of Hubble's filters for each pair out", filter},
	{"observe-server", "Cilium's Hubble server, its ring filled by frames of events", observeServer},
	{"observe-load", "many clients of GetFlows, good and bad", observeLoad},
	{"call", "one call of any gRPC method with any bytes", call},
	{"bench", "ns of Go's gob and of Hubble's parser", bench},
}

func main() {
	logging.DefaultLogger.SetLevel(logrus.WarnLevel)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 {
		for _, command := range commands {
			if command.name == os.Args[1] {
				arguments := flag.NewFlagSet(command.name, flag.ExitOnError)
				out := bufio.NewWriterSize(os.Stdout, 1<<16)
				if err := command.run(arguments, bufio.NewReaderSize(os.Stdin, 1<<16), out); err != nil {
					return fmt.Errorf("%s: %w", command.name, err)
				}
				return out.Flush()
			}
		}
	}
	usage(os.Stderr)
	os.Exit(2)
	return nil
}

func usage(out io.Writer) {
	fmt.Fprintln(out, "usage: harness COMMAND [-h]")
	for _, command := range commands {
		fmt.Fprintf(out, "  %-14s %s\n", command.name, command.help)
	}
}
