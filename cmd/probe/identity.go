package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	vaultapi "github.com/hashicorp/vault/api"
)

// chain holds what the workload identity was exchanged for.
type chain struct {
	settings
	vault     *vaultapi.Client
	consul    *consulapi.Client
	dbUser    string
	dbPasswd  string
	dbAddr    string
	dbExpires time.Time
}

// login exchanges the task's identity JWT for a Vault token, and reads the
// Consul token that Nomad got for the task.
func login(ctx context.Context, s settings) (*chain, error) {
	jwt, err := os.ReadFile(filepath.Join(s.secrets, "nomad_vault.jwt"))
	if err != nil {
		return nil, err
	}
	vault, err := vaultapi.NewClient(&vaultapi.Config{Address: s.vaultAddr, Timeout: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	secret, err := vault.Logical().WriteWithContext(ctx, "auth/jwt-nomad/login",
		map[string]any{"role": s.job, "jwt": strings.TrimSpace(string(jwt))})
	if err != nil {
		return nil, err
	}
	vault.SetToken(secret.Auth.ClientToken)
	consul, err := consulapi.NewClient(&consulapi.Config{Address: s.consulAddr, TokenFile: filepath.Join(s.secrets, "consul_token")})
	return &chain{settings: s, vault: vault, consul: consul}, err
}

func (c *chain) vaultToken(ctx context.Context) (map[string]any, error) {
	self, err := c.vault.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if r, _ := self.TokenIsRenewable(); !r {
		return nil, errors.New("the token can't be renewed")
	}
	return map[string]any{"policies": self.Data["policies"], "period": self.Data["period"], "path": self.Data["path"]}, nil
}

// vaultDeniesOthers: another service's credentials must be out of reach.
func (c *chain) vaultDeniesOthers(ctx context.Context) (map[string]any, error) {
	denied := []string{"database/creds/orders", "secret/data/souk/orders", "pki/roles/orders", "sys/mounts"}
	for _, path := range denied {
		_, err := c.vault.Logical().ReadWithContext(ctx, path)
		if re := (*vaultapi.ResponseError)(nil); !errors.As(err, &re) || re.StatusCode != http.StatusForbidden {
			return nil, fmt.Errorf("%s: want 403, got %v", path, err)
		}
	}
	return map[string]any{"denied": denied}, nil
}

func (c *chain) registration(ctx context.Context) (map[string]any, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		entries, _, err := c.consul.Health().Service(c.job, "", true, (&consulapi.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.Contains(e.Service.ID, c.alloc) {
				return map[string]any{"service": e.Service.Service, "address": fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port)}, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, errors.New("this allocation is not among the passing instances after 30 s")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (c *chain) configuration(ctx context.Context) (map[string]any, error) {
	key := "souk/" + c.environment + "/" + c.job
	pair, _, err := c.consul.KV().Get(key, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if pair == nil {
		return nil, fmt.Errorf("there is no key %s", key)
	}
	return map[string]any{"key": key, "bytes": len(pair.Value), "modify_index": pair.ModifyIndex}, nil
}

func (c *chain) consulDeniesOthers(ctx context.Context) (map[string]any, error) {
	key := "souk/" + c.environment + "/orders"
	_, _, err := c.consul.KV().Get(key, (&consulapi.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if !isForbidden(err) {
		return nil, fmt.Errorf("read %s: want 403, got %v", key, err)
	}
	_, err = c.consul.KV().Put(&consulapi.KVPair{Key: "souk/" + c.environment + "/" + c.job}, (&consulapi.WriteOptions{}).WithContext(ctx))
	if !isForbidden(err) {
		return nil, fmt.Errorf("write own configuration: want 403, got %v", err)
	}
	return map[string]any{"denied": []string{"read " + key, "write own key"}}, nil
}

func isForbidden(err error) bool {
	se := consulapi.StatusError{}
	return errors.As(err, &se) && se.Code == http.StatusForbidden
}

// certificate gets one for <job>.souk.internal and spiffe://souk/<job> and
// verifies it up to the root, as a peer would.
func (c *chain) certificate(ctx context.Context) (map[string]any, error) {
	name, uri := c.job+".souk.internal", "spiffe://souk/"+c.job
	issued, err := c.vault.Logical().WriteWithContext(ctx, "pki/issue/"+c.job,
		map[string]any{"common_name": name, "uri_sans": uri, "ttl": "10m"})
	if err != nil {
		return nil, err
	}
	leaf, err := parse(issued.Data["certificate"])
	if err != nil {
		return nil, err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	chainPEM, _ := issued.Data["ca_chain"].([]any)
	for _, p := range chainPEM {
		ca, err := parse(p)
		if err != nil {
			return nil, err
		}
		if ca.Subject.String() == ca.Issuer.String() {
			roots.AddCert(ca)
		} else {
			intermediates.AddCert(ca)
		}
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, err
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != uri {
		return nil, fmt.Errorf("URI names are %v, want %s", leaf.URIs, uri)
	}
	_, err = c.vault.Logical().WriteWithContext(ctx, "pki/issue/"+c.job, map[string]any{"common_name": "orders.souk.internal"})
	if err == nil {
		return nil, errors.New("got a certificate in the name of orders")
	}
	return map[string]any{"dns": leaf.DNSNames, "uri": uri, "until": leaf.NotAfter}, nil
}

func parse(text any) (*x509.Certificate, error) {
	s, _ := text.(string)
	block, _ := pem.Decode([]byte(s))
	if block == nil {
		return nil, errors.New("no certificate in the answer")
	}
	return x509.ParseCertificate(block.Bytes)
}
