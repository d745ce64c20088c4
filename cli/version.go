package cli

import (
	"runtime"
	"runtime/debug"
)

// versionCmd prints what this program is.
type versionCmd struct{}

// versionInfo is the JSON of version.
type versionInfo struct {
	Version  string `json:"version"`            // "dev" if it was not built from a release
	Revision string `json:"revision,omitempty"` // of the source
	Modified bool   `json:"modified,omitempty"` // the source had changes beside the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints the version.
func (*versionCmd) Run(a *app) error {
	v := version()
	if a.json {
		return a.printJSON(v)
	}
	line := "bellhop " + v.Version
	if v.Revision != "" {
		line += " (" + v.Revision
		if v.Modified {
			line += ", modified"
		}
		line += ")"
	}
	a.print("%s %s %s", line, v.Go, v.Platform)
	return nil
}

func version() versionInfo {
	v := versionInfo{Version: "dev", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
