# Consul: how Nomad's workloads log in, what each may do there, and the config entries.

terraform {
  required_version = ">= 1.6"
}

locals {
  # One ACL file a job. Jobs run in the namespace souk unless they are named as infrastructure.
  acl_files = fileset("${var.config_dir}/acl", "*.hcl")
  jobs = { for file in local.acl_files :
    format("%s-%s", contains(var.infra_jobs, trimsuffix(file, ".hcl")) ? "infra" : "souk", trimsuffix(file, ".hcl"))
    => templatefile("${var.config_dir}/acl/${file}", { environment = var.environment })
  }

  auth_method = jsonencode({
    JWKSURL          = var.nomad_jwks_url
    JWKSCACert       = var.nomad_jwks_ca_pem
    JWTSupportedAlgs = ["RS256"]
    BoundAudiences   = ["consul.io"]
    ClaimMappings = {
      nomad_namespace = "nomad_namespace"
      nomad_job_id    = "nomad_job_id"
      nomad_task      = "nomad_task"
      nomad_service   = "nomad_service"
    }
  })

  # type, name, selector: a registered service gets its own service identity and nothing more; a
  # task gets the role of its job, which exists only for a job that has an ACL file.
  binding_rules = {
    "souk: services" = join("\n", ["service", "$${value.nomad_service}", "\"nomad_service\" in value"])
    "souk: tasks"    = join("\n", ["role", "$${value.nomad_namespace}-$${value.nomad_job_id}", "\"nomad_service\" not in value"])
  }

  entry_kinds = {
    first  = ["proxy-defaults", "service-defaults"]
    second = ["service-resolver"]
    third  = ["service-splitter", "service-router", "service-intentions"]
  }
  # Keyed kind/name, the name read from the file, as the wildcard "*" can't well be a file name.
  entries = { for stage, kinds in local.entry_kinds : stage => merge([
    for kind in kinds : {
      for file in fileset("${var.config_dir}/${kind}", "*.hcl") :
      "${kind}/${regex("(?m)^Name\\s*=\\s*\"([^\"]+)\"", file("${var.config_dir}/${kind}/${file}"))[0]}"
      => file("${var.config_dir}/${kind}/${file}")
    }
  ]...) }
}

module "workloads" {
  source  = "../object"
  script  = "${path.module}/scripts/workload.sh"
  cli     = var.consul_bin
  epoch   = var.epoch
  objects = local.jobs
}

module "auth_method" {
  source  = "../object"
  script  = "${path.module}/scripts/auth-method.sh"
  cli     = var.consul_bin
  epoch   = var.epoch
  objects = { nomad-workloads = local.auth_method }
}

module "binding_rules" {
  source     = "../object"
  script     = "${path.module}/scripts/binding-rule.sh"
  cli        = var.consul_bin
  epoch      = var.epoch
  objects    = local.binding_rules
  depends_on = [module.auth_method]
}

# Consul refuses an entry that contradicts the ones it builds on (a splitter needs the protocol of
# its service-defaults and the subsets of its resolver), so they go in, and out, in this order.
module "defaults" {
  source  = "../object"
  script  = "${path.module}/scripts/config-entry.sh"
  cli     = var.consul_bin
  epoch   = var.epoch
  objects = local.entries.first
}

module "resolvers" {
  source     = "../object"
  script     = "${path.module}/scripts/config-entry.sh"
  cli        = var.consul_bin
  epoch      = var.epoch
  objects    = local.entries.second
  depends_on = [module.defaults]
}

module "traffic" {
  source     = "../object"
  script     = "${path.module}/scripts/config-entry.sh"
  cli        = var.consul_bin
  epoch      = var.epoch
  objects    = local.entries.third
  depends_on = [module.resolvers]
}
