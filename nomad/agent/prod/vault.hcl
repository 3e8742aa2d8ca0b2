# One of three (or five) Vault servers. node_id, api_addr and cluster_addr differ from host to host and
# come from the environment: VAULT_RAFT_NODE_ID, VAULT_API_ADDR, VAULT_CLUSTER_ADDR.

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"

  tls_cert_file   = "/etc/vault.d/tls/vault.pem"
  tls_key_file    = "/etc/vault.d/tls/vault-key.pem"
  tls_min_version = "tls13"

  # Prometheus scrapes without a Vault token, which would be one more secret to keep. Metrics name
  # mounts and counts, no values; the firewall lets in the monitoring hosts alone.
  telemetry {
    unauthenticated_metrics_access = true
  }
}

storage "raft" {
  path                         = "/var/lib/vault"
  autopilot_reconcile_interval = "10s"

  retry_join {
    leader_api_addr       = "https://vault-1.souk.internal:8200"
    leader_ca_cert_file   = "/etc/vault.d/tls/ca.pem"
    leader_tls_servername = "vault-1.souk.internal"
  }
  retry_join {
    leader_api_addr       = "https://vault-2.souk.internal:8200"
    leader_ca_cert_file   = "/etc/vault.d/tls/ca.pem"
    leader_tls_servername = "vault-2.souk.internal"
  }
  retry_join {
    leader_api_addr       = "https://vault-3.souk.internal:8200"
    leader_ca_cert_file   = "/etc/vault.d/tls/ca.pem"
    leader_tls_servername = "vault-3.souk.internal"
  }
}

# Unseals itself with a key that another Vault keeps; its token is VAULT_TOKEN in the unit's
# environment file. A cloud's key service does as well: seal "awskms", "gcpckms" or "azurekeyvault",
# with the host's own identity as the credential. Without a seal block people unseal by hand.
seal "transit" {
  address     = "https://vault-unseal.souk.internal:8200"
  mount_path  = "transit/"
  key_name    = "souk-unseal"
  tls_ca_cert = "/etc/vault.d/tls/ca.pem"
}

# The local Consul agent; the token is CONSUL_HTTP_TOKEN in the unit's environment file.
service_registration "consul" {
  address = "127.0.0.1:8500"
  service = "vault"
}

telemetry {
  prometheus_retention_time = "60s"
  disable_hostname          = true
}

# Raft keeps its data in mapped files, which mlock would pin whole; swap is off on these hosts.
disable_mlock = true

log_format = "json"

# The two audit devices are Terraform's (audit_files): with one alone, a full disk would stop Vault.
