variable "environment" {
  description = "The environment's name: the second part of a service's key in Consul, souk/<environment>/<service>."
  type        = string
  default     = "dev"
}

variable "nomad_jwks_url" {
  description = "Where Vault and Consul fetch the keys that verify Nomad's workload identities."
  type        = string
  default     = "http://127.0.0.1:20030/.well-known/jwks.json"
}

variable "postgres_connection_url" {
  description = "How Vault reaches PostgreSQL: its Unix socket, where the peer's user is the credential. Example: postgresql://vault_admin@/postgres?host=/path/of/.souk/run&port=20040"
  type        = string
}

variable "audit_files" {
  description = "Path of the log file of each Vault audit device, by the device's name."
  type        = map(string)
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

variable "consul_epoch" {
  description = "Any text that changes when Consul's data was made anew: then all of its objects are written again."
  type        = string
  default     = ""
}

variable "nomad_epoch" {
  description = "The same for Nomad."
  type        = string
  default     = ""
}
