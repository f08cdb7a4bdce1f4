// Hubble's dashboards, as Cilium publishes them beside its chart: one object in JSON, by the names of their files.
package main

import (
	"embed"
	"encoding/json"
	"io"
)

// tests/peers/build.sh leaves them there, from the module of the Cilium release.
//
//go:embed dashboards/*.json
var dashboardFiles embed.FS

func dashboards(_ io.Reader, out io.Writer) error {
	entries, err := dashboardFiles.ReadDir("dashboards")
	if err != nil {
		return err
	}
	all := map[string]json.RawMessage{}
	for _, entry := range entries {
		content, err := dashboardFiles.ReadFile("dashboards/" + entry.Name())
		if err != nil {
			return err
		}
		all[entry.Name()] = content
	}
	return json.NewEncoder(out).Encode(all)
}
