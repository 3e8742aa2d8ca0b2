package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/shirou/gopsutil/v4/disk"
)

var (
	noNetwork = regexp.MustCompile(`(?i)(no such host|dial tcp|i/o timeout|connection refused|network is unreachable|` +
		`temporary failure in name resolution|unknown host|module lookup disabled|could not transfer|cannot access .* in offline mode|has not been downloaded)`)
	noSpace = regexp.MustCompile(`(?i)(no space left on device|disk quota exceeded)`)
)

// explain turns a failed build into one line that says what to do.
func explain(ctx context.Context, s Server, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted while making %s; run it again and it goes on from there", s.Name)
	}
	text := err.Error()
	if ce := (*commandError)(nil); errors.As(err, &ce) {
		text = ce.output
	}
	switch {
	case noSpace.MatchString(text) || errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the disk is full while making %s: free some space (a first build needs %d GB) and run it again", s.Name, coldSpace>>30)
	case noNetwork.MatchString(text):
		from := "the Go module proxy (go env GOPROXY)"
		if s.Maven != nil {
			from = "Maven Central (mirrors: ~/.m2/settings.xml)"
		}
		return fmt.Errorf("cannot fetch %s %s from %s: check the network or proxy and run it again; what was fetched is kept", s.Name, s.Version, from)
	}
	return fmt.Errorf("making %s %s failed: %s", s.Name, s.Version, firstError(text))
}

// firstError picks the line of a tool's output that says what was wrong.
func firstError(output string) string {
	for _, line := range strings.Split(output, "\n") {
		if l := strings.ToLower(line); strings.Contains(l, "error") || strings.HasPrefix(l, "go: ") && !strings.Contains(l, "downloading") {
			return strings.TrimSpace(line)
		}
	}
	return lastLine(output)
}

// RequireSpace returns an error if the file system that dir is on, or will be
// on, has fewer than need bytes free for the caller.
func RequireSpace(dir string, need uint64, what string) error {
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			break
		}
	}
	usage, err := disk.Usage(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if usage.Free < need {
		return fmt.Errorf("only %.1f GB free under %s, %.1f GB needed %s: free some space or use another disk",
			float64(usage.Free)/(1<<30), dir, float64(need)/(1<<30), what)
	}
	return nil
}
