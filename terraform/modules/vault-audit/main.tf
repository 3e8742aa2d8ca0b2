# Vault's audit devices. A module of its own, because each must be enabled while nothing else is written: a device
# that is being set up can't log the answer of another request, which Vault then fails although it was carried out
# ("cannot write to storage during setup"; a repeated request finds its path in use).

terraform {
  required_version = ">= 1.6"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 3.3.1"
    }
  }
}

variable "audit_files" {
  description = "Path of the log file of each of the two audit devices, by the device's name. Vault answers as long as one of them can be written; with a single one that can't, it would refuse every request."
  type        = map(string)

  validation {
    condition     = length(var.audit_files) == 2
    error_message = "Name two audit devices."
  }
}

locals {
  names = sort(keys(var.audit_files))
}

resource "vault_audit" "first" {
  type    = "file"
  path    = local.names[0]
  options = { file_path = var.audit_files[local.names[0]], mode = "0600" }
}

resource "vault_audit" "second" {
  type       = "file"
  path       = local.names[1]
  options    = { file_path = var.audit_files[local.names[1]], mode = "0600" }
  depends_on = [vault_audit.first]
}
