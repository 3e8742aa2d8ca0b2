# Prometheus: finds what to scrape through Consul (services tagged `metrics`), and scrapes the three agents themselves.
#
# A service that wants to be scraped registers with the tag `metrics` and, where they differ from its own port and
# /metrics, the meta `metrics_port` and `metrics_path`.

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

variable "servers_dir" {
  type        = string
  description = "Absolute path of the third-party servers' files; read only."
}

variable "data_dir" {
  type        = string
  description = "Absolute path that holds a folder of data per infra job and outlives allocations."
}

variable "prometheus_port" {
  type        = number
  description = "HTTP port."
  default     = 9090
}

variable "consul_addr" {
  type        = string
  description = "host:port of the Consul agent's HTTP API."
  default     = "127.0.0.1:8500"
}

variable "prometheus_retention" {
  type        = string
  description = "How long samples are kept."
  default     = "15d"
}

variable "prometheus_retention_size" {
  type        = string
  description = "How much disk samples may take; whichever bound is met first."
  default     = "2GB"
}

variable "prometheus_cpu" {
  type        = number
  description = "CPU share in MHz."
  default     = 150
}

variable "prometheus_memory" {
  type        = number
  description = "Memory in MiB, for scheduling and as the soft bound of Go's heap."
  default     = 256
}

variable "prometheus_release" {
  type        = string
  description = "Which build of the server stands in servers_dir; a change restarts the job."
  default     = ""
}

job "prometheus" {
  namespace   = "infra"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.prometheus_release
  }

  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "3s"
    healthy_deadline  = "4m"
    progress_deadline = "5m"
  }

  # Neither block ever gives up: what watches the others must come back by itself.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "prometheus" {
    count = 1

    restart {
      attempts = 20
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    network {
      port "http" {
        static = var.prometheus_port
      }
    }

    service {
      name     = "prometheus"
      port     = "http"
      provider = "consul"
      tags     = ["metrics"]

      check {
        name     = "runs"
        type     = "http"
        path     = "/-/healthy"
        interval = "5s"
        timeout  = "2s"

        check_restart {
          limit = 6
          grace = "1m"
        }
      }

      check {
        name     = "ready"
        type     = "http"
        path     = "/-/ready"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "prometheus" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      # the task's own Consul token, from its workload identity, in secrets/consul_token
      consul {}

      config {
        command = "/bin/sh"
        args    = ["local/start.sh"]
      }

      template {
        destination = "local/start.sh"
        change_mode = "noop"
        data        = <<-EOT
          set -eu
          umask 077
          data="${var.data_dir}/prometheus"
          mkdir -p "$data"
          # it reads the token from its file, so that the environment need not show it
          unset CONSUL_TOKEN CONSUL_HTTP_TOKEN
          export GOMEMLIMIT=${var.prometheus_memory}MiB
          exec "${var.servers_dir}/prometheus/prometheus" --config.file="$NOMAD_TASK_DIR/prometheus.yml" \
            --web.listen-address="$NOMAD_ADDR_http" --storage.tsdb.path="$data" \
            --storage.tsdb.retention.time=${var.prometheus_retention} \
            --storage.tsdb.retention.size=${var.prometheus_retention_size}
        EOT
      }

      template {
        destination = "local/prometheus.yml"
        change_mode = "noop"
        data        = <<-EOT
          global:
            scrape_interval: 10s
            scrape_timeout: 5s
            external_labels:
              environment: ${var.environment}

          scrape_configs:
            - job_name: services
              consul_sd_configs:
                - server: ${var.consul_addr}
                  refresh_interval: 10s
                  authorization:
                    credentials_file: "{{ env "NOMAD_SECRETS_DIR" }}/consul_token"
              relabel_configs:
                - source_labels: [__meta_consul_tags]
                  regex: .*,metrics,.*
                  action: keep
                - source_labels: [__meta_consul_service_metadata_metrics_path]
                  regex: (.+)
                  target_label: __metrics_path__
                - source_labels: [__meta_consul_service_address, __meta_consul_service_metadata_metrics_port]
                  regex: (.+);(\d+)
                  replacement: $1:$2
                  target_label: __address__
                - source_labels: [__meta_consul_service]
                  target_label: job
                - source_labels: [__meta_consul_service]
                  target_label: service
                # `instance` stays the address: an allocation's id in it would make new series at every restart

            - job_name: consul
              metrics_path: /v1/agent/metrics
              params:
                format: [prometheus]
              authorization:
                credentials_file: "{{ env "NOMAD_SECRETS_DIR" }}/consul_token"
              static_configs:
                - targets: ["${var.consul_addr}"]

            - job_name: nomad
              metrics_path: /v1/metrics
              params:
                format: [prometheus]
              consul_sd_configs:
                - server: ${var.consul_addr}
                  services: [nomad, nomad-client]
                  tags: [http]
                  authorization:
                    credentials_file: "{{ env "NOMAD_SECRETS_DIR" }}/consul_token"
              relabel_configs:
                - source_labels: [__meta_consul_service]
                  target_label: service

            - job_name: vault
              metrics_path: /v1/sys/metrics
              params:
                format: [prometheus]
              consul_sd_configs:
                - server: ${var.consul_addr}
                  services: [vault]
                  authorization:
                    credentials_file: "{{ env "NOMAD_SECRETS_DIR" }}/consul_token"
        EOT
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = var.prometheus_cpu
        memory = var.prometheus_memory
      }
    }
  }
}
