package lifecycle

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Program is what a Souk program can do from the command line.
type Program struct {
	Name string
	// Run serves until ctx ends, and returns nil after an orderly stop.
	Run func(ctx context.Context) error
	// CheckConfig validates a configuration document and returns the one that would be
	// in force (config.Checker).
	CheckConfig func(document []byte) (effective []byte, err error)
}

const usage = `usage: %[1]s                  serve, as the Nomad job nomad/apps/%[1]s.nomad.hcl
       %[1]s check-config     check the YAML on standard input, print the configuration it would give
       %[1]s healthcheck      exit with 0 if the instance at NOMAD_ADDR_admin is ready
`

// Main does what the arguments say and returns the exit code: 0, 1 if it failed, 2 if
// it was called wrongly. Errors go to standard error, one line each.
func (p Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(args) == 0:
		err = p.Run(ctx)
	case len(args) == 1 && args[0] == "check-config":
		err = p.checkConfig(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == "healthcheck":
		err = healthcheck(ctx, os.Getenv("NOMAD_ADDR_admin"))
	default:
		fmt.Fprintf(os.Stderr, usage, p.Name)
		return 2
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, OneLine(err))
		return 1
	}
	return 0
}

func (p Program) checkConfig(in io.Reader, out io.Writer) error {
	document, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	effective, err := p.CheckConfig(document)
	if err != nil {
		return err
	}
	_, err = out.Write(effective)
	return err
}

// healthcheck serves containers, whose image holds no other program to ask with.
func healthcheck(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}
