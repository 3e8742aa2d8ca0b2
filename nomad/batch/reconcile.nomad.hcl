# reconcile: compares the books of orders, inventory and payments, every night and on demand (`souk reconcile`).
# A run that finds a difference fails, and its log and alloc/data/report.txt say which.

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

variable "driver" {
  type        = string
  description = "Task driver: raw_exec (development), exec or docker."
  default     = "raw_exec"

  validation {
    condition     = contains(["raw_exec", "exec", "docker"], var.driver)
    error_message = "The driver must be raw_exec, exec or docker."
  }
}

variable "reconcile_program" {
  type        = string
  description = "raw_exec and exec: path of the program; a path below local/ where an artifact brings it."
  default     = "local/reconcile"
}

variable "reconcile_artifact" {
  type        = string
  description = "raw_exec and exec: where to fetch the program, with ?checksum=sha256:...; empty if it is on the node."
  default     = ""
}

variable "reconcile_image" {
  type        = string
  description = "docker: the image, by digest."
  default     = ""
}

variable "reconcile_release" {
  type        = string
  description = "Which build this is; shown in logs."
  default     = ""
}

variable "reconcile_crons" {
  type        = list(string)
  description = "When it runs by itself, in UTC."
  default     = ["30 3 * * *"]
}

variable "consul_addr" {
  type        = string
  description = "host:port of the node's Consul agent."
  default     = "127.0.0.1:8500"
}

variable "vault_addr" {
  type        = string
  description = "host:port of Vault."
  default     = "127.0.0.1:8200"
}

job "reconcile" {
  namespace   = "souk"
  type        = "batch"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.reconcile_release
  }

  # Each run is a job of its own, reconcile/periodic-<time>, with the identity of this one.
  periodic {
    crons            = var.reconcile_crons
    time_zone        = "UTC"
    prohibit_overlap = true
  }

  group "reconcile" {
    # It waits for services that are away by itself, and trying again would hide what it found.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    ephemeral_disk {
      size = 100
    }

    task "reconcile" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      dynamic "artifact" {
        for_each = var.reconcile_artifact == "" ? [] : [var.reconcile_artifact]

        content {
          source      = artifact.value
          destination = "local/reconcile"
          mode        = "file"
        }
      }

      config {
        command = var.driver == "docker" ? null : var.reconcile_program
        image   = var.driver == "docker" ? var.reconcile_image : null
      }

      # The task exchanges this for a Vault token by itself.
      identity {
        name = "vault"
        aud  = ["vault.io"]
        file = true
        ttl  = "1h"
      }

      consul {}

      env {
        SOUK_ENV               = var.environment
        SOUK_VERSION           = var.reconcile_release
        CONSUL_HTTP_ADDR       = "http://${var.consul_addr}"
        CONSUL_HTTP_TOKEN_FILE = "${NOMAD_SECRETS_DIR}/consul_token"
        VAULT_ADDR             = "http://${var.vault_addr}"
        GOMAXPROCS             = "1"
        GOMEMLIMIT             = "48MiB"
      }

      logs {
        max_files     = 2
        max_file_size = 10
      }

      resources {
        cpu    = 50
        memory = 64
      }
    }
  }
}
