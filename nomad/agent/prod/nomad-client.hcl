# A Nomad client. Hosts with the databases' disks load nomad-client-stateful.hcl on top of it.

datacenter = "souk"
data_dir   = "/var/lib/nomad"
bind_addr  = "0.0.0.0"

advertise {
  http = "{{ GetPrivateIP }}"
  rpc  = "{{ GetPrivateIP }}"
  serf = "{{ GetPrivateIP }}"
}

client {
  enabled   = true
  node_pool = "services"

  server_join {
    retry_join = ["nomad-1.souk.internal", "nomad-2.souk.internal", "nomad-3.souk.internal"]
  }

  # The agents of this host and its system.
  reserved {
    cpu    = 500
    memory = 1024
  }

  # A host that shuts down moves its work elsewhere first.
  drain_on_shutdown {
    deadline           = "5m"
    ignore_system_jobs = true
  }

  template {
    disable_file_sandbox = false
    function_denylist    = ["plugin", "writeToFile"]
  }
}

# Isolated drivers alone: a raw_exec task would have the agent's own rights.
plugin "raw_exec" {
  config {
    enabled = false
  }
}

plugin "exec" {
  config {
    no_pivot_root    = false
    default_pid_mode = "private"
    default_ipc_mode = "private"
  }
}

plugin "docker" {
  config {
    allow_privileged = false
    volumes {
      enabled = false
    }
    gc {
      image       = true
      image_delay = "24h"
    }
  }
}

tls {
  http = true
  rpc  = true

  ca_file   = "/etc/nomad.d/tls/ca.pem"
  cert_file = "/etc/nomad.d/tls/nomad.pem"
  key_file  = "/etc/nomad.d/tls/nomad-key.pem"

  verify_server_hostname = true
  verify_https_client    = false
}

acl {
  enabled = true
}

# The local Consul agent; the token is CONSUL_HTTP_TOKEN in the unit's environment file. What a
# workload may do in Consul and Vault comes from its own identity, never from this agent's token.
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
}

telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
  disable_hostname           = true
}

disable_update_check = true
log_json             = true
