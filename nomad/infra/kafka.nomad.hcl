# Kafka: one node that is both KRaft controller and broker.

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
  description = "Absolute path of the java executable, 17 or newer."
}

variable "kafka_port" {
  type        = number
  description = "Port for clients."
  default     = 9092
}

variable "kafka_controller_port" {
  type        = number
  description = "Port of the KRaft controller."
  default     = 9093
}

variable "kafka_heap" {
  type        = string
  description = "Java heap, as -Xmx takes it."
  default     = "384m"
}

variable "kafka_retention_hours" {
  type        = number
  description = "How long events are kept."
  default     = 168
}

variable "kafka_flush_messages" {
  type        = number
  description = "Messages a partition takes before they are forced to disk. A lone broker has no replica to recover from, so 1; with replicas leave it to the system (9223372036854775807)."
  default     = 1
}

variable "kafka_cpu" {
  type        = number
  description = "CPU share in MHz."
  default     = 400
}

variable "kafka_memory" {
  type        = number
  description = "Memory in MiB, for scheduling."
  default     = 640
}

variable "kafka_release" {
  type        = string
  description = "Which build of the server stands in servers_dir; a change restarts the job."
  default     = ""
}

job "kafka" {
  namespace   = "infra"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.kafka_release
  }

  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "3s"
    healthy_deadline  = "4m"
    progress_deadline = "5m"
  }

  # Neither block ever gives up: the broker must come back by itself however long its trouble lasts.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "kafka" {
    count = 1

    restart {
      attempts = 20
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    network {
      port "broker" {
        static = var.kafka_port
      }
      port "controller" {
        static = var.kafka_controller_port
      }
    }

    service {
      name     = "kafka"
      port     = "broker"
      provider = "consul"

      # The port opens only after an unclean log is recovered, hence the long grace.
      check {
        name     = "accepts connections"
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"

        # Nomad counts failed checks from a crash on, whatever grace says, so the limit covers a recovery too.
        check_restart {
          limit = 36
          grace = "3m"
        }
      }
    }

    task "kafka" {
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
          home="${var.data_dir}/kafka"
          data=$home/log
          libs="${var.servers_dir}/kafka/libs"
          mkdir -p "$home"
          tool() { "${var.java}" -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$libs/*" kafka.tools.StorageTool "$@"; }

          # The id is kept apart from the log, so that it stays the cluster's own however often formatting is interrupted;
          # the log appears under its name only when it is formatted.
          if [ ! -s "$home/cluster-id" ]; then
            tool random-uuid > "$home/cluster-id.tmp"
            mv "$home/cluster-id.tmp" "$home/cluster-id"
          fi
          if [ ! -d "$data" ]; then
            rm -rf "$home/format.tmp"
            sed "s|^log.dirs=.*|log.dirs=$home/format.tmp|" local/server.properties > local/format.properties
            tool format -t "$(cat "$home/cluster-id")" -c local/format.properties
            mv "$home/format.tmp" "$data"
          fi

          exec "${var.java}" -Xms${var.kafka_heap} -Xmx${var.kafka_heap} -XX:+UseSerialGC -XX:MaxDirectMemorySize=64m \
            -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData -Djava.io.tmpdir="$NOMAD_TASK_DIR" -Djava.awt.headless=true \
            -Dlog4j2.configurationFile="$NOMAD_TASK_DIR/log4j2.properties" \
            -cp "$libs/*" kafka.Kafka local/server.properties
        EOT
      }

      template {
        destination = "local/server.properties"
        change_mode = "noop"
        data        = <<-EOT
          process.roles=broker,controller
          node.id=1
          listeners=PLAINTEXT://{{ env "NOMAD_ADDR_broker" }},CONTROLLER://{{ env "NOMAD_ADDR_controller" }}
          advertised.listeners=PLAINTEXT://{{ env "NOMAD_ADDR_broker" }}
          controller.quorum.voters=1@{{ env "NOMAD_ADDR_controller" }}
          controller.listener.names=CONTROLLER
          log.dirs=${var.data_dir}/kafka/log

          # a misspelt topic is an error, not a new topic
          auto.create.topics.enable=false
          num.partitions=3
          log.retention.hours=${var.kafka_retention_hours}
          log.segment.bytes=67108864
          log.flush.interval.messages=${var.kafka_flush_messages}
          log.cleaner.dedupe.buffer.size=16777216

          # one broker, one replica of everything
          default.replication.factor=1
          offsets.topic.replication.factor=1
          offsets.topic.num.partitions=10
          transaction.state.log.replication.factor=1
          transaction.state.log.min.isr=1
          transaction.state.log.num.partitions=10
          share.coordinator.state.topic.replication.factor=1
          share.coordinator.state.topic.min.isr=1
          group.initial.rebalance.delay.ms=0

          # a broker that was killed is let in again only when its last session has run out, by its own controller too (9 s if not set)
          broker.session.timeout.ms=5000
          broker.heartbeat.interval.ms=1000
        EOT
      }

      template {
        destination = "local/log4j2.properties"
        change_mode = "noop"
        data        = <<-EOT
          status = error
          appender.console.type = Console
          appender.console.name = console
          appender.console.layout.type = PatternLayout
          appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1}] %m%n
          rootLogger.level = info
          rootLogger.appenderRef.console.ref = console
          # every configuration value at every start
          logger.config.name = org.apache.kafka.common.config
          logger.config.level = warn
          logger.kafkaconfig.name = kafka.server.KafkaConfig
          logger.kafkaconfig.level = warn
        EOT
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = var.kafka_cpu
        memory = var.kafka_memory
      }
    }
  }
}
