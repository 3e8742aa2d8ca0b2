// Command souk is the one tool of a Souk installation: it brings the servers up
// and down, tells how they are, and provisions them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// What the servers' user is to read must not depend on the caller's mask; secrets get their modes one by one.
	syscall.Umask(0o022)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "souk:", err)
		stop()
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "souk",
		Short: "Run Souk on your own HashiStack",
		Long: `souk brings up Consul, Vault, Nomad and everything that Souk's jobs need.

Environment:
  SOUK_HOME       where all state is kept (default .souk in the checkout)
  SOUK_PORT_BASE  first of the 1000 ports of this instance (default 20000)
  SOUK_RUN_AS     when root calls souk: the user that the servers run as (default nobody)
  SOUK_CONSUL, SOUK_VAULT, SOUK_NOMAD, SOUK_OPENTOFU, SOUK_POSTGRES, SOUK_PROMETHEUS
                  path of a program to use instead of the one on PATH or Souk's own`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), doctorCommand(), buildCommand(), envCommand(),
		terraformCommand("plan", "Show what terraform/ would change"),
		terraformCommand("apply", "Make Vault, Consul and Nomad what terraform/ says"),
		terraformCommand("destroy", "Stop the jobs and undo what apply made"),
		seedCommand(), demoCommand(), tokenCommand(), clientsCommand(), keysCommand(), mailCommand(), dlqCommand(), newServiceCommand(), configCommand(), benchCommand(), lintCommand(), measureCommand(), reconcileCommand(), rebuildCommand())
	return root
}
