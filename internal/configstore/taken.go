package configstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	consulapi "github.com/hashicorp/consul/api"
)

// Taken says how many instances of a service run with a configuration.
type Taken struct {
	Service   string
	Instances int           // passing in Consul
	Took      int           // whose configuration is that one or a newer one
	After     time.Duration // from the call to the last that took it
}

// AwaitTaken asks the admin port of every passing instance until all run with the
// document of that ModifyIndex, or ctx ends. A service without instances is done.
func AwaitTaken(ctx context.Context, consul *consulapi.Client, service string, index uint64) (Taken, error) {
	began := time.Now()
	for {
		t := Taken{Service: service}
		entries, _, err := consul.Health().Service(service, "", true, (&consulapi.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return t, fmt.Errorf("find the instances of %s: %w", service, err)
		}
		t.Instances = len(entries)
		var last error
		for _, e := range entries {
			have, err := configIndex(ctx, net.JoinHostPort(e.Service.Address, e.Service.Meta["metrics_port"]))
			switch {
			case err != nil:
				last = fmt.Errorf("instance %s: %w", e.Service.ID, err)
			case have >= index:
				t.Took++
			default:
				last = fmt.Errorf("instance %s still runs with its last good configuration; its log says why", e.Service.ID)
			}
		}
		t.After = time.Since(began)
		if t.Took == t.Instances {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return t, last
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func configIndex(ctx context.Context, admin string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/config", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var answer struct {
		Index uint64 `json:"modify_index"`
	}
	return answer.Index, json.NewDecoder(res.Body).Decode(&answer)
}
