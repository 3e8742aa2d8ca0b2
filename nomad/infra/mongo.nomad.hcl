# The MongoDB-wire server for development (no transactions, no authentication); in production point the catalogue at a real mongod.

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
  description = "Absolute path of the java executable of a JDK, 17 or newer."
}

variable "mongo_port" {
  type        = number
  description = "Port for clients."
  default     = 27017
}

variable "mongo_heap" {
  type        = string
  description = "Java heap, as -Xmx takes it."
  default     = "192m"
}

variable "mongo_cpu" {
  type        = number
  description = "CPU share in MHz."
  default     = 200
}

variable "mongo_memory" {
  type        = number
  description = "Memory in MiB, for scheduling."
  default     = 256
}

variable "mongo_release" {
  type        = string
  description = "Which build of the server stands in servers_dir; a change restarts the job."
  default     = ""
}

job "mongo" {
  namespace   = "infra"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.mongo_release
  }

  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "3s"
    healthy_deadline  = "4m"
    progress_deadline = "5m"
  }

  # Neither block ever gives up: a database must come back by itself however long its trouble lasts.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "mongo" {
    count = 1

    restart {
      attempts = 20
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    network {
      port "db" {
        static = var.mongo_port
      }
    }

    service {
      name     = "mongo"
      port     = "db"
      provider = "consul"

      check {
        name     = "accepts connections"
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"

        check_restart {
          limit = 6
          grace = "1m"
        }
      }
    }

    task "mongo" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

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
          server="${var.servers_dir}/mongo"
          data="${var.data_dir}/mongo"
          mkdir -p "$data"

          # the compiler, unlike the launcher, takes no wildcard
          classpath=$(printf '%s:' "$server"/libs/*.jar)
          # Compiled apart from the server, which would otherwise carry the compiler's memory for as long as it runs.
          "${var.java}" -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -m jdk.compiler/com.sun.tools.javac.Main \
            -cp "$classpath" -d local/classes "$server/Main.java"

          exec "${var.java}" -Xmx${var.mongo_heap} -XX:+UseSerialGC -XX:MaxDirectMemorySize=48m -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData \
            -Dorg.slf4j.simpleLogger.log.de.bwaldvogel.mongo.wire=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
            -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd'T'HH:mm:ss.SSSXXX" \
            -cp "local/classes:$server/libs/*" Main "$NOMAD_IP_db" "$NOMAD_PORT_db" "$data/souk.h2"
        EOT
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = var.mongo_cpu
        memory = var.mongo_memory
      }
    }
  }
}
