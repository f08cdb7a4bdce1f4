// A mount namespace of its own: the monitor's socket has a fixed path, which may be in use.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/cilium/cilium/pkg/defaults"
)

// again runs this command once more, in a new mount namespace, and ends as it does.
func again() error {
	inner := exec.Command("/proc/self/exe", append([]string{os.Args[1], "-inside"}, os.Args[2:]...)...)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	inner.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return inner.Run()
}

// mountSocketFolder lets the folder of the socket be the one given, for this namespace alone.
func mountSocketFolder(folder string) error {
	place := filepath.Dir(defaults.MonitorSockPath1_2)
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := syscall.Mount("none", filepath.Dir(place), "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("an empty %s: %w", filepath.Dir(place), err)
	}
	if err := os.Mkdir(place, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(folder, place, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s as %s: %w", folder, place, err)
	}
	return nil
}
