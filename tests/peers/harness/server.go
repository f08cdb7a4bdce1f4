// Cilium's monitor server; takes a command a line, and answers each with a line.
//
//	listeners        → listeners N
//	send N           → sent N L: the next N payloads of the file, over and over, to L listeners
//	lost CPU N       → lost L
//	stop             → stopped: the connections and the socket are gone
//	start            → started: Cilium's server listens (again)
//	garbage HEX      → garbage: the next client gets these bytes, and the end
//
// Cilium's listeners drop silently where their queue is full: with a queue that holds all that is sent, none does.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cilium/cilium/pkg/defaults"
	monitor "github.com/cilium/cilium/pkg/monitor/agent"
	"github.com/cilium/cilium/pkg/monitor/payload"
)

// server is what the lines act on.
type server struct {
	agent    *fedAgent
	queue    int
	payloads [][]byte
	next     int
	stop     context.CancelFunc
}

func serveMonitor(arguments *flag.FlagSet, in *bufio.Reader, out *bufio.Writer) error {
	folder := arguments.String("folder", "", "where monitor1_2.sock appears; not below /run")
	payloads := arguments.String("payloads", "", "a file of frames, each the Data of a payload")
	queue := arguments.Int("queue", 1<<20, "payloads that a listener's queue holds")
	shift := arguments.Int("shift", 0, "types that take ids before the payload's")
	inside := arguments.Bool("inside", false, "this process is in its own mount namespace already")
	if err := arguments.Parse(os.Args[2:]); err != nil {
		return err
	}
	if *folder == "" || *payloads == "" {
		return fmt.Errorf("-folder and -payloads are needed")
	}
	if !*inside {
		return again()
	}
	if err := mountSocketFolder(*folder); err != nil {
		return err
	}
	shiftTypes(*shift)
	server := &server{agent: newFedAgent(), queue: *queue, stop: func() {}}
	if err := server.load(*payloads); err != nil {
		return err
	}
	return server.serve(in, out)
}

func (server *server) load(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = eachFrame(bytes.NewReader(content), func(frame []byte) error {
		server.payloads = append(server.payloads, frame)
		return nil
	})
	if err == nil && len(server.payloads) == 0 {
		err = fmt.Errorf("%s: no payloads", path)
	}
	return err
}

func (server *server) serve(in *bufio.Reader, out *bufio.Writer) error {
	if _, err := server.start(); err != nil {
		return err
	}
	fmt.Fprintln(out, "started")
	lines := bufio.NewScanner(in)
	for {
		if err := out.Flush(); err != nil {
			return err
		}
		if !lines.Scan() {
			return lines.Err()
		}
		answer, err := server.act(lines.Text())
		if err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		fmt.Fprintln(out, answer)
	}
}

func (server *server) act(line string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "listeners":
		return fmt.Sprintf("listeners %d", server.agent.count()), nil
	case "send":
		return server.send(rest)
	case "lost":
		lost := &payload.Payload{Type: payload.RecordLost}
		if _, err := fmt.Sscan(rest, &lost.CPU, &lost.Lost); err != nil {
			return "", err
		}
		return fmt.Sprintf("lost %d", server.agent.send(lost)), nil
	case "stop":
		server.end()
		return "stopped", nil
	case "start":
		return server.start()
	case "garbage":
		return server.garbage(rest)
	}
	return "", fmt.Errorf("not known")
}

func (server *server) start() (string, error) {
	server.end()
	ctx, cancel := context.WithCancel(context.Background())
	server.stop = cancel
	return "started", monitor.ServeMonitorAPI(ctx, server.agent, server.queue)
}

// end waits until the path is gone: closing a unix listener removes it, and must not remove the next one's.
func (server *server) end() {
	server.stop()
	server.agent.closeAll()
	for {
		if _, err := os.Stat(defaults.MonitorSockPath1_2); os.IsNotExist(err) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (server *server) send(count string) (string, error) {
	var number, listeners int
	if _, err := fmt.Sscan(count, &number); err != nil {
		return "", err
	}
	for i := 0; i < number; i++ {
		data := server.payloads[server.next%len(server.payloads)]
		listeners = server.agent.send(&payload.Payload{Data: data, CPU: server.next % 8, Type: payload.EventSample})
		server.next++
	}
	return fmt.Sprintf("sent %d %d", number, listeners), nil
}

func (server *server) garbage(text string) (string, error) {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		return "", err
	}
	server.end()
	bad, err := net.Listen("unix", defaults.MonitorSockPath1_2)
	if err != nil {
		return "", err
	}
	go func() {
		defer bad.Close()
		if connection, err := bad.Accept(); err == nil {
			connection.Write(bytes)
			connection.Close()
		}
	}()
	server.stop = func() { bad.Close() }
	return "garbage", nil
}
