# One of three (or five) Nomad servers. The gossip key is not here: see README.md.

datacenter = "souk"
data_dir   = "/var/lib/nomad"
bind_addr  = "0.0.0.0"

advertise {
  http = "{{ GetPrivateIP }}"
  rpc  = "{{ GetPrivateIP }}"
  serf = "{{ GetPrivateIP }}"
}

server {
  enabled          = true
  bootstrap_expect = 3

  server_join {
    retry_join = ["nomad-1.souk.internal", "nomad-2.souk.internal", "nomad-3.souk.internal"]
  }

  default_scheduler_config {
    memory_oversubscription_enabled = true
    preemption_config {
      system_scheduler_enabled  = true
      service_scheduler_enabled = true
    }
  }
}

tls {
  http = true
  rpc  = true

  ca_file   = "/etc/nomad.d/tls/ca.pem"
  cert_file = "/etc/nomad.d/tls/nomad.pem"
  key_file  = "/etc/nomad.d/tls/nomad-key.pem"

  # A server must be named server.global.nomad in its certificate: a client's can't pose as one.
  verify_server_hostname = true
  # Vault and Consul fetch the JWKS with no client certificate; all else needs an ACL token.
  verify_https_client = false
}

acl {
  enabled = true
}

# The local Consul agent; the token is CONSUL_HTTP_TOKEN in the unit's environment file.
consul {
  address = "127.0.0.1:8500"

  service_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
  task_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
}

vault {
  enabled               = true
  address               = "https://active.vault.service.consul:8200"
  ca_file               = "/etc/nomad.d/tls/vault-ca.pem"
  jwt_auth_backend_path = "jwt-nomad"

  default_identity {
    aud = ["vault.io"]
    ttl = "1h"
  }
}

autopilot {
  cleanup_dead_servers      = true
  last_contact_threshold    = "200ms"
  server_stabilization_time = "10s"
}

telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
}

disable_update_check = true
log_json             = true
