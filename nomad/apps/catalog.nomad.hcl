# catalog: products, categories and prices, in MongoDB.

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

variable "catalog_program" {
  type        = string
  description = "raw_exec and exec: path of the program; a path below local/ where an artifact brings it."
  default     = "local/catalog"
}

variable "catalog_artifact" {
  type        = string
  description = "raw_exec and exec: where to fetch the program, with ?checksum=sha256:...; empty if it is on the node."
  default     = ""
}

variable "catalog_image" {
  type        = string
  description = "docker: the image, by digest."
  default     = ""
}

variable "catalog_release" {
  type        = string
  description = "Which build this is; shown in logs and metrics."
  default     = ""
}

variable "catalog_count" {
  type        = number
  description = "Instances at the first submission; later the scaling of the job counts."
  default     = 1
}

variable "healthy_deadline" {
  type        = string
  description = "How long a new instance may take to pass its checks before Nomad goes back to the version before."
  default     = "90s"
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

variable "issuer" {
  type        = string
  description = "The shop's public URL, which issues the users' tokens; https in production, no slash at the end."
  default     = "https://shop.example.com"
}

job "catalog" {
  namespace   = "souk"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.catalog_release
  }

  # One new instance beside the old ones; when it is healthy the rest follow, else Nomad goes back: at
  # the first that is not healthy in time, which is what a progress_deadline of 0 means.
  update {
    max_parallel      = 1
    canary            = 1
    auto_promote      = true
    auto_revert       = true
    health_check      = "checks"
    min_healthy_time  = "2s"
    healthy_deadline  = var.healthy_deadline
    progress_deadline = "0s"
  }

  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "catalog" {
    count = var.catalog_count

    # It leaves Consul at once and is stopped only when nobody can still hold its address.
    shutdown_delay = "2s"

    scaling {
      enabled = true
      min     = 1
      max     = 8
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "1s"
      mode     = "delay"
    }

    # Its last good configuration goes with it to the next version on this node.
    ephemeral_disk {
      sticky = true
      size   = 100
    }

    network {
      port "https" {}
      port "admin" {}
    }

    service {
      name        = "catalog"
      port        = "https"
      provider    = "consul"
      tags        = ["metrics"]
      canary_tags = ["metrics", "canary"]

      meta {
        metrics_port = "${NOMAD_PORT_admin}"
        metrics_path = "/metrics"
        release      = var.catalog_release
      }

      check {
        name     = "ready"
        type     = "http"
        port     = "admin"
        path     = "/readyz"
        interval = "1s"
        timeout  = "1s"
      }

      # An instance that no longer answers is started anew; one that only waits for Vault is not.
      check {
        name     = "alive"
        type     = "http"
        port     = "admin"
        path     = "/healthz"
        interval = "5s"
        timeout  = "3s"

        check_restart {
          limit = 3
          grace = "20s"
        }
      }
    }

    task "catalog" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      dynamic "artifact" {
        for_each = var.catalog_artifact == "" ? [] : [var.catalog_artifact]

        content {
          source      = artifact.value
          destination = "local/catalog"
          mode        = "file"
        }
      }

      config {
        command = var.driver == "docker" ? null : var.catalog_program
        image   = var.driver == "docker" ? var.catalog_image : null
        ports   = var.driver == "docker" ? ["https", "admin"] : null
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
        SOUK_ISSUER            = var.issuer
        SOUK_VERSION           = var.catalog_release
        CONSUL_HTTP_ADDR       = "http://${var.consul_addr}"
        CONSUL_HTTP_TOKEN_FILE = "${NOMAD_SECRETS_DIR}/consul_token"
        VAULT_ADDR             = "http://${var.vault_addr}"
        GOMAXPROCS             = "2"
        GOGC                   = "25"
        MALLOC_ARENA_MAX       = "1"
        GOMEMLIMIT             = "96MiB"
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = 200
        memory = 96
      }
    }
  }
}
