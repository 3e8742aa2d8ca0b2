# A task logs in with the identity that Nomad signed for it, into the role of its own job alone.

resource "vault_jwt_auth_backend" "nomad" {
  path               = "jwt-nomad"
  type               = "jwt"
  description        = "Nomad workload identities"
  jwks_url           = var.nomad_jwks_url
  jwks_ca_pem        = var.nomad_jwks_ca_pem
  jwt_supported_algs = ["RS256"]
}

resource "vault_policy" "service" {
  for_each = local.services
  name     = each.key
  policy   = file("${var.policies_dir}/${each.key}.hcl")
}

resource "vault_jwt_auth_backend_role" "service" {
  for_each        = local.services
  backend         = vault_jwt_auth_backend.nomad.path
  role_name       = each.key
  role_type       = "jwt"
  user_claim      = "nomad_job_id"
  bound_audiences = ["vault.io"]
  bound_claims = {
    nomad_namespace = "souk"
    nomad_job_id    = each.key
  }
  token_type = "service"
  # Periodic: it lives as long as Nomad renews it, and half an hour longer than its task.
  token_period   = 1800
  token_policies = [vault_policy.service[each.key].name]
}
