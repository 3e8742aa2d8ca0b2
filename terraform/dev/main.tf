# A developer's instance. Addresses and tokens come from the environment (`souk env` prints them).

terraform {
  required_version = ">= 1.6"

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 3.3.1"
    }
  }

  # Its path is given at init: the state lies with the instance, not in the checkout.
  backend "local" {}
}

# VAULT_ADDR and VAULT_TOKEN
provider "vault" {}

module "consul" {
  source         = "../modules/consul"
  environment    = var.environment
  config_dir     = "${path.root}/../../consul-config"
  consul_bin     = var.consul_bin
  nomad_jwks_url = var.nomad_jwks_url
  epoch          = var.consul_epoch
}

module "nomad" {
  source    = "../modules/nomad"
  nomad_bin = var.nomad_bin
  epoch     = var.nomad_epoch
}

module "vault_audit" {
  source      = "../modules/vault-audit"
  audit_files = var.audit_files
}

module "vault" {
  source                     = "../modules/vault"
  policies_dir               = "${path.root}/../../vault-policies"
  nomad_jwks_url             = var.nomad_jwks_url
  postgres_connection_url    = var.postgres_connection_url
  token_key_deletion_allowed = true

  depends_on = [module.vault_audit]
}
