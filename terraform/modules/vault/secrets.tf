# Static configuration secrets (KV), the key that signs user tokens, and the key that the secrets of webhook
# endpoints are stored under (transit).

resource "vault_mount" "secret" {
  path        = "secret"
  type        = "kv"
  options     = { version = "2" }
  description = "secret/souk/<service>: what a third party gave us, such as a payment provider's key"
}

resource "vault_mount" "transit" {
  path        = "transit"
  type        = "transit"
  description = "Signs user tokens"
}

# Payments encrypts with it what it shares with the receivers of webhooks. Older versions go on decrypting.
resource "vault_transit_secret_backend_key" "webhooks" {
  backend                = vault_mount.transit.path
  name                   = "souk-webhooks"
  type                   = "aes256-gcm96"
  exportable             = false
  allow_plaintext_backup = false
  deletion_allowed       = var.token_key_deletion_allowed
}

resource "vault_transit_secret_backend_key" "tokens" {
  backend                = vault_mount.transit.path
  name                   = "souk-tokens"
  type                   = "ecdsa-p256"
  exportable             = false
  allow_plaintext_backup = false
  deletion_allowed       = var.token_key_deletion_allowed
}

# The provider's key resource has no such argument. The signer names the key version it signs with,
# so that a new version is published before it is used.
resource "vault_generic_endpoint" "tokens_rotation" {
  path           = "${vault_mount.transit.path}/keys/${vault_transit_secret_backend_key.tokens.name}/config"
  disable_read   = true
  disable_delete = true
  data_json      = jsonencode({ auto_rotate_period = "720h" })

  lifecycle {
    replace_triggered_by = [terraform_data.transit_mount]
  }
}

# Nothing else tells that the key was made anew with its mount.
resource "terraform_data" "transit_mount" {
  triggers_replace = [vault_mount.transit.accessor]
}
