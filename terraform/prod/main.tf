# Production. Addresses and tokens come from the operator's environment; see ../README.md.

terraform {
  required_version = ">= 1.6"

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 3.3.1"
    }
  }

  # CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN; Consul also holds the lock.
  backend "consul" {
    path = "terraform/souk/prod"
    gzip = true
  }
}

# VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT
provider "vault" {}

locals {
  nomad_ca = var.nomad_ca_file == null ? "" : file(var.nomad_ca_file)
}

module "consul" {
  source            = "../modules/consul"
  environment       = var.environment
  config_dir        = "${path.root}/../../consul-config"
  consul_bin        = var.consul_bin
  nomad_jwks_url    = var.nomad_jwks_url
  nomad_jwks_ca_pem = local.nomad_ca
}

module "nomad" {
  source    = "../modules/nomad"
  nomad_bin = var.nomad_bin
}

module "vault_audit" {
  source      = "../modules/vault-audit"
  audit_files = var.audit_files
}

module "vault" {
  source                  = "../modules/vault"
  policies_dir            = "${path.root}/../../vault-policies"
  nomad_jwks_url          = var.nomad_jwks_url
  nomad_jwks_ca_pem       = local.nomad_ca
  postgres_connection_url = var.postgres_connection_url
  database_leases         = var.database_leases

  depends_on = [module.vault_audit]
}
