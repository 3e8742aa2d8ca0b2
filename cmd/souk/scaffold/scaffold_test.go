package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/testenv"
)

// TestMain stands for consul-config/service-intentions/probe.hcl, which the job that probe is otherwise does not need.
// A service that is made from this folder has the file and not this one.
func TestMain(m *testing.M) {
	flag.Parse()
	undo := func() error { return nil }
	if !testing.Short() {
		var err error
		if undo, err = letGatewayIn(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := undo(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func letGatewayIn() (undo func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	env, err := testenv.Open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := env.Souk(ctx, "up", "--servers"); err != nil {
		return nil, err
	}
	consul, err := env.Consul()
	if err != nil {
		return nil, err
	}
	_, _, err = consul.ConfigEntries().Set(&consulapi.ServiceIntentionsConfigEntry{
		Kind: consulapi.ServiceIntentions, Name: name,
		Sources: []*consulapi.SourceIntention{{Name: "gateway", Action: consulapi.IntentionActionAllow}},
	}, nil)
	return func() error {
		_, err := consul.ConfigEntries().Delete(consulapi.ServiceIntentions, name, nil)
		return err
	}, err
}
