# Nomad: the namespaces and the ACL policies that people and pipelines hold.

terraform {
  required_version = ">= 1.6"
}

variable "nomad_bin" {
  description = "The nomad command. It takes address and token from NOMAD_ADDR and NOMAD_TOKEN."
  type        = string
  default     = "nomad"
}

variable "epoch" {
  description = "Changes when the Nomad cluster was made anew."
  type        = string
  default     = ""
}

module "namespaces" {
  source = "../object"
  script = "${path.module}/scripts/namespace.sh"
  cli    = var.nomad_bin
  epoch  = var.epoch
  objects = {
    infra = "Databases, brokers and monitoring"
    souk  = "The shop's services"
  }
}

module "policies" {
  source = "../object"
  script = "${path.module}/scripts/policy.sh"
  cli    = var.nomad_bin
  epoch  = var.epoch
  objects = { for file in fileset("${path.module}/policies", "*.hcl") :
    trimsuffix(file, ".hcl") => file("${path.module}/policies/${file}")
  }
  depends_on = [module.namespaces]
}
