variable "environment" {
  description = "The environment's name: the second part of a service's key, souk/<environment>/<service>."
  type        = string
}

variable "config_dir" {
  description = "Path of consul-config."
  type        = string
}

variable "consul_bin" {
  description = "The consul command. It takes address and token from CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN_FILE."
  type        = string
  default     = "consul"
}

variable "nomad_jwks_url" {
  description = "Where Consul's servers fetch the keys that verify Nomad's workload identities."
  type        = string
}

variable "nomad_jwks_ca_pem" {
  description = "CA certificates (PEM) for that URL; empty for plain HTTP or a CA that the system trusts."
  type        = string
  default     = ""
}

variable "infra_jobs" {
  description = "Jobs with an ACL file that run in the Nomad namespace infra; every other runs in souk."
  type        = set(string)
  default     = ["prometheus"]
}

variable "epoch" {
  description = "Changes when the Consul cluster was made anew."
  type        = string
  default     = ""
}
