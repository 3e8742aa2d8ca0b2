# payments: intents, refunds and the ledger.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/payments" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/payments/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/payments" {
  capabilities = ["update"]
}

# Secrets that a third party gave us, or we gave it: what signs the webhooks of payment providers, their API keys.
path "secret/data/souk/payments" {
  capabilities = ["read"]
}

# Outgoing webhooks: the receivers' secrets are stored encrypted, with a key that it can't read.
path "transit/encrypt/souk-webhooks" {
  capabilities = ["update"]
}

path "transit/decrypt/souk-webhooks" {
  capabilities = ["update"]
}
