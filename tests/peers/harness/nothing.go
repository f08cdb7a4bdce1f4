// A node that knows nothing of itself; the rest of what the parser asks is in Cilium's own test code.
package main

import "strconv"

// noLinks knows no interface by name.
type noLinks struct{}

func (noLinks) GetIfNameCached(int) (string, bool) { return "", false }

func (noLinks) Name(index uint32) string { return strconv.FormatUint(uint64(index), 10) }
