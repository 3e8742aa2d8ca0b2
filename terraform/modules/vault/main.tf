# Vault: who logs in (auth.tf), what it may have (database.tf, pki.tf, secrets.tf).

terraform {
  required_version = ">= 1.6"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 3.3.1"
    }
  }
}

locals {
  services = toset([for file in fileset(var.policies_dir, "*.hcl") : trimsuffix(file, ".hcl")])
}
