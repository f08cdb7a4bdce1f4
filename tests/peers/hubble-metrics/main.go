// Hubble's metrics and dashboards of Cilium 1.20 behind pipes, so that tests can hold ours against them: a command per
// file. Its go.mod is made by tests/peers/build.sh, from that of the Cilium release.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

var commands = map[string]func(in io.Reader, out io.Writer) error{
	"count":      count,
	"dashboards": dashboards,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hubble-metrics:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		return fmt.Errorf("usage: hubble-metrics count|dashboards")
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	if err := commands[os.Args[1]](bufio.NewReaderSize(os.Stdin, 1<<16), out); err != nil {
		return err
	}
	return out.Flush()
}
