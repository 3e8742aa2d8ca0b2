# Elasticsearch: one node for product search and for the logs.

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

variable "java" {
  type        = string
  description = "Absolute path of the java executable, 17 to 23 (this release needs Java's security manager)."
}

variable "elasticsearch_port" {
  type        = number
  description = "HTTP port."
  default     = 9200
}

variable "elasticsearch_transport_port" {
  type        = number
  description = "Port between nodes."
  default     = 9300
}

variable "elasticsearch_heap" {
  type        = string
  description = "Java heap, as -Xmx takes it; at most half the memory."
  default     = "512m"
}

variable "elasticsearch_cpu" {
  type        = number
  description = "CPU share in MHz."
  default     = 500
}

variable "elasticsearch_memory" {
  type        = number
  description = "Memory in MiB, for scheduling."
  default     = 900
}

variable "elasticsearch_release" {
  type        = string
  description = "Which build of the server stands in servers_dir; a change restarts the job."
  default     = ""
}

job "elasticsearch" {
  namespace   = "infra"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.elasticsearch_release
  }

  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "3s"
    healthy_deadline  = "4m"
    progress_deadline = "5m"
  }

  # Neither block ever gives up: a store must come back by itself however long its trouble lasts.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "elasticsearch" {
    count = 1

    restart {
      attempts = 20
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    network {
      port "http" {
        static = var.elasticsearch_port
      }
      port "transport" {
        static = var.elasticsearch_transport_port
      }
    }

    service {
      name     = "elasticsearch"
      port     = "http"
      provider = "consul"

      check {
        name     = "answers"
        type     = "http"
        path     = "/"
        interval = "5s"
        timeout  = "3s"

        check_restart {
          limit = 12
          grace = "2m"
        }
      }

      # Apart from the check above: an index without its primary shard is no reason to restart the node.
      check {
        name     = "every primary shard is there"
        type     = "http"
        path     = "/_cluster/health?wait_for_status=yellow&timeout=1s"
        interval = "5s"
        timeout  = "3s"
      }
    }

    task "elasticsearch" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

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
          home="${var.servers_dir}/elasticsearch"
          # settings go where the node may write: it keeps a keystore of its own beside them
          conf=$NOMAD_TASK_DIR/config
          tmp=$NOMAD_TASK_DIR/tmp
          mkdir -p "${var.data_dir}/elasticsearch/data" "$NOMAD_TASK_DIR/logs" "$tmp"
          cp "$home/config/log4j2.properties" "$conf/"

          export ES_TMPDIR="$tmp" LIBFFI_TMPDIR="$tmp"
          exec "${var.java}" -Xms${var.elasticsearch_heap} -Xmx${var.elasticsearch_heap} -XX:+UseSerialGC \
            -XX:MaxDirectMemorySize=128m -XX:+ExitOnOutOfMemoryError -XX:-OmitStackTraceInFastThrow -XX:-UsePerfData \
            -Des.path.home="$home" -Des.path.conf="$conf" -Des.distribution.flavor=default -Des.distribution.type=zip \
            -Djava.security.manager=allow -Djava.io.tmpdir="$tmp" -Djna.tmpdir="$tmp" -Djna.nosys=true \
            -Djava.awt.headless=true -Djava.locale.providers=SPI,COMPAT -Dfile.encoding=UTF-8 \
            -Des.networkaddress.cache.ttl=60 -Des.networkaddress.cache.negative.ttl=10 \
            -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
            -Dio.netty.allocator.numDirectArenas=0 -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true \
            -Dlog4j2.formatMsgNoLookups=true --add-opens=java.base/java.io=ALL-UNNAMED \
            -cp "$home/lib/*" org.elasticsearch.bootstrap.Elasticsearch
        EOT
      }

      template {
        destination = "local/config/elasticsearch.yml"
        change_mode = "noop"
        data        = <<-EOT
          cluster.name: souk
          node.name: souk-1
          discovery.type: single-node
          path.data: "${var.data_dir}/elasticsearch/data"
          path.logs: "{{ env "NOMAD_TASK_DIR" }}/logs"
          network.host: {{ env "NOMAD_IP_http" }}
          http.port: ${var.elasticsearch_port}
          transport.port: ${var.elasticsearch_transport_port}
          # in bytes: a share of a large disk that others fill too would lock every index with room to spare
          cluster.routing.allocation.disk.watermark.low: 3gb
          cluster.routing.allocation.disk.watermark.high: 2gb
          cluster.routing.allocation.disk.watermark.flood_stage: 1gb
          # a wildcard must not drop what was not named
          action.destructive_requires_name: true
        EOT
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = var.elasticsearch_cpu
        memory = var.elasticsearch_memory
      }
    }
  }
}
