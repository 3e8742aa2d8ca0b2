# Certificates for mTLS: a root that signs one intermediate, and a role a service. Both private keys
# are made in Vault and never leave it.
#
# What makes an issuer goes through the generic endpoint, because that returns the issuer's id: a
# renewed CA must become the default, while the old one stays to verify what it signed.

locals {
  year = 365 * 24 * 3600
}

resource "vault_mount" "pki_root" {
  path                  = "pki-root"
  type                  = "pki"
  description           = "Root CA"
  max_lease_ttl_seconds = 10 * local.year
}

resource "vault_mount" "pki" {
  path                  = "pki"
  type                  = "pki"
  description           = "Intermediate CA that issues the services' certificates"
  max_lease_ttl_seconds = 5 * local.year
}

# No resource below notices that its CA is gone with a mount that was made anew; the accessors tell.
resource "terraform_data" "pki_root_mount" {
  triggers_replace = [vault_mount.pki_root.accessor]
}

resource "terraform_data" "pki_mount" {
  triggers_replace = [vault_mount.pki.accessor]
}

resource "vault_generic_endpoint" "root" {
  path           = "${vault_mount.pki_root.path}/root/generate/internal"
  disable_read   = true
  disable_delete = true
  write_fields   = ["issuer_id"]
  data_json = jsonencode({
    common_name          = "Souk root CA"
    organization         = "Souk"
    ttl                  = "${10 * local.year}s"
    key_type             = "ec"
    key_bits             = 256
    max_path_length      = 1
    exclude_cn_from_sans = true
  })

  lifecycle {
    replace_triggered_by = [terraform_data.pki_root_mount]
  }
}

resource "vault_generic_endpoint" "root_issuer" {
  path                 = "${vault_mount.pki_root.path}/config/issuers"
  disable_delete       = true
  ignore_absent_fields = true
  data_json            = jsonencode({ default = vault_generic_endpoint.root.write_data.issuer_id })
}

resource "vault_pki_secret_backend_intermediate_cert_request" "pki" {
  backend              = vault_mount.pki.path
  type                 = "internal"
  common_name          = "Souk intermediate CA"
  organization         = "Souk"
  key_type             = "ec"
  key_bits             = 256
  exclude_cn_from_sans = true

  lifecycle {
    replace_triggered_by = [terraform_data.pki_mount]
  }
}

resource "vault_pki_secret_backend_root_sign_intermediate" "pki" {
  backend               = vault_mount.pki_root.path
  csr                   = vault_pki_secret_backend_intermediate_cert_request.pki.csr
  common_name           = "Souk intermediate CA"
  organization          = "Souk"
  ttl                   = "${5 * local.year}s"
  max_path_length       = 0
  exclude_cn_from_sans  = true
  permitted_dns_domains = ["souk.internal"]

  lifecycle {
    replace_triggered_by = [vault_generic_endpoint.root]
  }

  depends_on = [vault_generic_endpoint.root_issuer]
}

# The bundle holds the root as well, so that issued chains are complete. The answer maps each issuer
# to its key; only the intermediate has one here.
resource "vault_generic_endpoint" "intermediate" {
  path           = "${vault_mount.pki.path}/intermediate/set-signed"
  disable_read   = true
  disable_delete = true
  write_fields   = ["mapping"]
  data_json      = jsonencode({ certificate = vault_pki_secret_backend_root_sign_intermediate.pki.certificate_bundle })

  lifecycle {
    replace_triggered_by = [vault_pki_secret_backend_root_sign_intermediate.pki]
  }
}

resource "vault_generic_endpoint" "intermediate_issuer" {
  path                 = "${vault_mount.pki.path}/config/issuers"
  disable_delete       = true
  ignore_absent_fields = true
  data_json = jsonencode({
    default = one([for issuer, key in jsondecode(vault_generic_endpoint.intermediate.write_data_json).mapping : issuer if key != ""])
  })
}

resource "vault_pki_secret_backend_role" "service" {
  for_each = local.services
  backend  = vault_mount.pki.path
  name     = each.key

  allowed_domains    = ["${each.key}.souk.internal"]
  allow_bare_domains = true
  allow_subdomains   = false
  allow_localhost    = false
  allow_ip_sans      = false
  allowed_uri_sans   = ["spiffe://souk/${each.key}"]

  ttl         = "86400"
  max_ttl     = "86400"
  key_type    = "ec"
  key_bits    = 256
  server_flag = true
  client_flag = true
  # Vault's own default, written out: left out it would show as a change in every plan.
  key_usage = ["DigitalSignature"]
  # A peer's clock may be that much behind Vault's; left out, the provider makes it nothing. Not more: a new CA is
  # dated back as far, and Vault signs nothing that is older than its CA.
  not_before_duration = "30s"
}

# Certificates live for a day; without tidying every one of them would stay in storage for ever.
resource "vault_generic_endpoint" "tidy" {
  path                 = "${vault_mount.pki.path}/config/auto-tidy"
  disable_delete       = true
  ignore_absent_fields = true
  data_json = jsonencode({
    enabled            = true
    tidy_cert_store    = true
    tidy_revoked_certs = true
  })
}
