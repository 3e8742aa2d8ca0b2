package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"souk/stack"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check that this machine can run Souk; changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			checks := stack.Prerequisites(ctx)
			cache, err := stack.CacheDir()
			if err != nil {
				return err
			}
			a, err := newApp(os.Stdout)
			if err != nil {
				checks = append(checks, stack.Check{Name: "state directory", Problem: err.Error()})
			} else {
				state := "not made yet"
				if a.Exists() {
					state = "in use"
				}
				checks = append(checks, stack.Check{Name: "state directory", Found: a.Home + " (" + state + ")"},
					stack.Check{Name: "servers run as", Found: a.Account.Name})
				taken := a.TakenPorts()
				for _, err := range taken {
					checks = append(checks, stack.Check{Name: "port", Problem: err.Error()})
				}
				if len(taken) == 0 {
					checks = append(checks, stack.Check{Name: "ports", Found: fmt.Sprintf("%d-%d", a.Ports.Base, a.Ports.NomadDynamicLast)})
				}
				b := &stack.Builder{Root: a.Root, Cache: cache}
				checks = append(checks, space(a.Home, homeSpace, "data"))
				checks = append(checks, b.Survey(ctx)...)
			}
			problems := 0
			for _, c := range checks {
				if c.Problem != "" {
					problems++
					fmt.Printf("  ✗ %-32s %s\n", c.Name, c.Problem)
					continue
				}
				fmt.Printf("  ✓ %-32s %s\n", c.Name, c.Found)
			}
			if problems > 0 {
				return fmt.Errorf("%d problems; each line above says what to do", problems)
			}
			return nil
		},
	}
}

func space(dir string, need uint64, name string) stack.Check {
	c := stack.Check{Name: "disk for " + name, Found: dir}
	if err := stack.RequireSpace(dir, need, "for "+name); err != nil {
		c.Problem = err.Error()
	}
	return c
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Only build and fetch the servers that are neither on PATH nor cached",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			return a.locate(cmd.Context())
		},
	}
}
