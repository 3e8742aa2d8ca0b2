# The Consul agent of every other host. Its certificate comes from the servers (auto_encrypt).

datacenter = "souk"
server     = false
data_dir   = "/var/lib/consul"
retry_join = ["consul-1.souk.internal", "consul-2.souk.internal", "consul-3.souk.internal"]

bind_addr   = "{{ GetPrivateIP }}"
client_addr = "127.0.0.1"

ports {
  grpc     = -1
  grpc_tls = 8503
}

encrypt_verify_incoming = true
encrypt_verify_outgoing = true

tls {
  defaults {
    ca_file         = "/etc/consul.d/tls/ca.pem"
    verify_incoming = true
    verify_outgoing = true
  }
  internal_rpc {
    verify_server_hostname = true
  }
}

auto_encrypt {
  tls = true
}

acl {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  enable_token_persistence = true
}

# When the host stops, its services leave at once instead of turning critical.
leave_on_terminate = true

telemetry {
  prometheus_retention_time = "60s"
  disable_hostname          = true
}

disable_update_check = true
log_json             = true
