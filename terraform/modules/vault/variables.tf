variable "policies_dir" {
  description = "Path of vault-policies: one <service>.hcl for each service; adding a file adds a service."
  type        = string
}

variable "nomad_jwks_url" {
  description = "Where Vault fetches the keys that verify Nomad's workload identities. It must answer at apply."
  type        = string
}

variable "nomad_jwks_ca_pem" {
  description = "CA certificates (PEM) for that URL; empty for plain HTTP or a CA that the system trusts."
  type        = string
  default     = ""
}

variable "postgres_connection_url" {
  description = "How Vault reaches PostgreSQL. It holds no password: peer authentication over a socket, or a client certificate."
  type        = string

  validation {
    condition     = !can(regex("//[^/@]*:[^/@]*@|password=", var.postgres_connection_url))
    error_message = "The connection URL must not hold a password."
  }
}

variable "database_leases" {
  description = "How long the PostgreSQL credentials of a service live, in seconds, where that is not an hour, renewed for at most a day."
  type = map(object({
    default_ttl = number
    max_ttl     = number
  }))
  # probe's are short enough for a test to watch them expire.
  default = {
    probe = { default_ttl = 20, max_ttl = 60 }
  }
}

variable "token_key_deletion_allowed" {
  description = "Whether destroy may delete the keys that sign user tokens and encrypt webhook secrets: every session ends, no receiver can be signed for."
  type        = bool
  default     = false
}
