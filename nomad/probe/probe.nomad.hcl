# The probe: walks the chain of identities from inside a task and prints what it found (cmd/probe).

variable "environment" {
  type        = string
  description = "Which environment this is: dev, staging, prod."
  default     = "dev"
}

variable "datacenters" {
  type        = list(string)
  description = "Nomad datacenters the job may run in."
  default     = ["souk"]
}

variable "bin_dir" {
  type        = string
  description = "Absolute path of Souk's own programs."
}

variable "consul_addr" {
  type        = string
  description = "host:port of the Consul agent."
  default     = "127.0.0.1:8500"
}

variable "vault_addr" {
  type        = string
  description = "host:port of Vault."
  default     = "127.0.0.1:8200"
}

job "probe" {
  namespace   = "souk"
  type        = "batch"
  datacenters = var.datacenters

  group "probe" {
    # It either finds the chain whole or says what is broken; trying again would hide that.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    network {
      port "http" {}
    }

    service {
      name     = "probe"
      port     = "http"
      provider = "consul"

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "probe" {
      driver = "raw_exec"

      config {
        command = "${var.bin_dir}/probe"
      }

      # The task exchanges this one for a Vault token by itself, as every service does.
      identity {
        name = "vault"
        aud  = ["vault.io"]
        file = true
        ttl  = "1h"
      }

      consul {}

      env {
        SOUK_ENV         = var.environment
        CONSUL_HTTP_ADDR = "http://${var.consul_addr}"
        VAULT_ADDR       = "http://${var.vault_addr}"
      }

      resources {
        cpu    = 50
        memory = 64
      }
    }
  }
}
