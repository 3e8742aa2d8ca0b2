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

# Two devices: with a single one that can't be written Vault would refuse every request.
resource "vault_audit" "file" {
  for_each = var.audit_files
  type     = "file"
  path     = each.key
  options  = { file_path = each.value, mode = "0600" }
}
