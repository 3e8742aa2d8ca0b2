variable "environment" {
  description = "The environment's name: the second part of a service's key in Consul, souk/<environment>/<service>."
  type        = string
  default     = "prod"
}

variable "nomad_jwks_url" {
  description = "Where Vault and Consul fetch the keys that verify Nomad's workload identities. Nomad's HTTP API must serve it without a client certificate, see nomad/agent/prod."
  type        = string
  default     = "https://nomad.service.consul:4646/.well-known/jwks.json"
}

variable "nomad_ca_file" {
  description = "File with the CA certificates (PEM) for that URL."
  type        = string
  default     = null
}

variable "postgres_connection_url" {
  description = "How Vault reaches PostgreSQL: verified TLS, and a client certificate as the credential. The files are on Vault's servers."
  type        = string
  default     = "postgresql://vault_admin@postgres.service.consul:5432/postgres?sslmode=verify-full&sslrootcert=/etc/vault.d/postgres/ca.pem&sslcert=/etc/vault.d/postgres/vault_admin.pem&sslkey=/etc/vault.d/postgres/vault_admin-key.pem"
}

variable "audit_files" {
  description = "Path of the log file of each Vault audit device, by the device's name; best on two disks."
  type        = map(string)
  default = {
    file   = "/var/log/vault/audit.log"
    file-2 = "/var/lib/vault-audit/audit.log"
  }
}

variable "database_leases" {
  description = "How long the PostgreSQL credentials of a service live, in seconds, where that is not an hour, renewed for at most a day."
  type = map(object({
    default_ttl = number
    max_ttl     = number
  }))
  default = {
    probe = { default_ttl = 20, max_ttl = 60 }
  }
}

variable "consul_bin" {
  description = "The consul command."
  type        = string
  default     = "consul"
}

variable "nomad_bin" {
  description = "The nomad command."
  type        = string
  default     = "nomad"
}
