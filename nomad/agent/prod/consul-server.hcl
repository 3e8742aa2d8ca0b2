# One of three (or five) Consul servers. The gossip key is not here: see README.md.

datacenter = "souk"
server     = true
data_dir   = "/var/lib/consul"

bootstrap_expect = 3
retry_join       = ["consul-1.souk.internal", "consul-2.souk.internal", "consul-3.souk.internal"]

# Servers and agents speak over the private network; plain HTTP and DNS stay on the host.
bind_addr   = "{{ GetPrivateIP }}"
client_addr = "127.0.0.1"

addresses {
  https    = "{{ GetPrivateIP }}"
  grpc_tls = "{{ GetPrivateIP }}"
}

ports {
  https    = 8501
  grpc     = -1
  grpc_tls = 8503
}

encrypt_verify_incoming = true
encrypt_verify_outgoing = true

tls {
  defaults {
    ca_file         = "/etc/consul.d/tls/ca.pem"
    cert_file       = "/etc/consul.d/tls/consul.pem"
    key_file        = "/etc/consul.d/tls/consul-key.pem"
    verify_incoming = true
    verify_outgoing = true
  }
  # A server must be named server.souk.consul in its certificate: a client's certificate can't pose as one.
  internal_rpc {
    verify_server_hostname = true
  }
}

# Clients get their certificates from the servers.
auto_encrypt {
  allow_tls = true
}

connect {
  enabled = true
}

acl {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  enable_token_persistence = true
}

autopilot {
  cleanup_dead_servers      = true
  min_quorum                = 3
  last_contact_threshold    = "200ms"
  server_stabilization_time = "10s"
}

performance {
  raft_multiplier = 1
}

limits {
  http_max_conns_per_client = 400
}

telemetry {
  prometheus_retention_time = "60s"
  disable_hostname          = true
}

disable_update_check = true
log_json             = true
