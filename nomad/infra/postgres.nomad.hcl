# PostgreSQL: one server, a database and a stable owner role per service; services log in with credentials that Vault makes.

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
  description = "Absolute path of Souk's own programs (pgsetup)."
}

variable "servers_dir" {
  type        = string
  description = "Absolute path of the third-party servers' files; read only."
}

variable "data_dir" {
  type        = string
  description = "Absolute path that holds a folder of data per infra job and outlives allocations."
}

variable "socket_dir" {
  type        = string
  description = "Absolute, short path for the unix socket; only the servers' user may enter it."
}

variable "postgres_port" {
  type        = number
  description = "TCP port of PostgreSQL."
  default     = 5432
}

variable "postgres_clients" {
  type        = list(string)
  description = "Networks (CIDR) whose hosts may log in over TCP."
  default     = ["127.0.0.1/32"]
}

variable "postgres_services" {
  type        = list(string)
  description = "Services that get a database and an owner role, both kept for ever once made: those whose Vault policy names database/creds/<service>."
}

variable "postgres_cpu" {
  type        = number
  description = "CPU share in MHz."
  default     = 300
}

variable "postgres_memory" {
  type        = number
  description = "Memory in MiB, for scheduling."
  default     = 320
}

variable "postgres_release" {
  type        = string
  description = "Which build of the server stands in servers_dir; a change restarts the job."
  default     = ""
}

job "postgres" {
  namespace   = "infra"
  type        = "service"
  datacenters = var.datacenters

  meta {
    environment = var.environment
    release     = var.postgres_release
  }

  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "3s"
    healthy_deadline  = "4m"
    progress_deadline = "5m"
  }

  # A database must come back by itself however long its trouble lasts: neither block ever gives up.
  reschedule {
    unlimited      = true
    delay          = "5s"
    delay_function = "exponential"
    max_delay      = "1m"
  }

  group "postgres" {
    count = 1

    restart {
      attempts = 20
      interval = "5m"
      delay    = "3s"
      mode     = "delay"
    }

    network {
      port "db" {
        static = var.postgres_port
      }
    }

    service {
      name     = "postgres"
      port     = "db"
      provider = "consul"

      # The port is open from the first moment on, crash recovery included, so a long recovery is never cut short.
      check {
        name     = "accepts connections"
        type     = "tcp"
        interval = "5s"
        timeout  = "2s"

        # Nomad counts failed checks from a crash on, whatever grace says, so the limit covers a recovery too.
        check_restart {
          limit = 24
          grace = "1m"
        }
      }
    }

    task "postgres" {
      driver = "raw_exec"
      # fast shutdown: sessions are ended, a checkpoint is written
      kill_signal  = "SIGINT"
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
          bin="${var.servers_dir}/postgres/bin"
          home="${var.data_dir}/postgres"
          data=$home/pgdata
          socket="${var.socket_dir}/.s.PGSQL.${var.postgres_port}"
          mkdir -p "$home"

          # A cluster appears under its name only when it is whole; what an interrupted initdb left is thrown away.
          if [ ! -d "$data" ]; then
            rm -rf "$home/initdb.tmp"
            "$bin/initdb" -D "$home/initdb.tmp" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \
              --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C --data-checksums
            mv "$home/initdb.tmp" "$data"
          fi

          # PostgreSQL ignores a lock whose process is gone, but after a crash that number may belong to someone else,
          # and it would then wait for ever. Only a live server on this very cluster keeps its locks.
          command_of() { ps -o args= -p "$1" 2>/dev/null || tr '\0' ' ' < "/proc/$1/cmdline"; }
          for lock in "$data/postmaster.pid" "$socket.lock"; do
            [ -e "$lock" ] || continue
            pid=$(head -n 1 "$lock" | tr -dc 0-9)
            if [ -z "$pid" ] || { kill -0 "$pid" 2>/dev/null && ! command_of "$pid" | grep -qF -- "-D $data "; }; then
              rm -f "$lock"
            fi
          done

          # Whoever runs the server is its superuser over the socket; so is Vault, which runs as the same user, in its own role.
          user=$(id -un)
          printf 'souk "%s" postgres\nsouk "%s" vault_admin\n' "$user" "$user" > local/pg_ident.conf

          exec "$bin/postgres" -D "$data" -c config_file="$NOMAD_TASK_DIR/postgresql.conf" \
            -c hba_file="$NOMAD_TASK_DIR/pg_hba.conf" -c ident_file="$NOMAD_TASK_DIR/pg_ident.conf" \
            -c listen_addresses="$NOMAD_IP_db"
        EOT
      }

      template {
        destination = "local/pg_hba.conf"
        change_mode = "noop"
        data        = <<-EOT
          local all postgres    peer map=souk
          local all vault_admin peer map=souk
          host  all postgres,vault_admin all reject
          %{for network in var.postgres_clients~}
          host  all all ${network} scram-sha-256
          %{endfor~}
        EOT
      }

      template {
        destination = "local/postgresql.conf"
        change_mode = "noop"
        data        = <<-EOT
          port = ${var.postgres_port}
          unix_socket_directories = '${var.socket_dir}'
          unix_socket_permissions = 0700
          password_encryption = scram-sha-256
          max_connections = 200
          shared_buffers = 128MB
          effective_cache_size = 512MB
          work_mem = 4MB
          maintenance_work_mem = 32MB
          max_wal_size = 512MB
          checkpoint_completion_target = 0.9
          wal_compression = on
          fsync = on
          full_page_writes = on
          synchronous_commit = on
          random_page_cost = 1.1
          timezone = 'UTC'
          log_timezone = 'UTC'
          log_line_prefix = '%m [%p] %q%u@%d '
          log_min_duration_statement = 1s
          log_lock_waits = on
          # a peer that vanished must not hold its locks
          tcp_keepalives_idle = 60
          tcp_keepalives_interval = 10
          tcp_keepalives_count = 3
        EOT
      }

      logs {
        max_files     = 4
        max_file_size = 10
      }

      resources {
        cpu    = var.postgres_cpu
        memory = var.postgres_memory
      }
    }

    # Roles and databases, on every start: it changes nothing where they stand already.
    task "databases" {
      driver = "raw_exec"

      lifecycle {
        hook = "poststart"
      }

      config {
        command = "${var.bin_dir}/pgsetup"
        args = [
          "-socket-dir", var.socket_dir,
          "-port", "${var.postgres_port}",
          "-services", join(",", var.postgres_services),
        ]
      }

      logs {
        max_files     = 2
        max_file_size = 1
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
