# users: accounts and the OAuth 2 server.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/users" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/users/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/users" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/users" {
  capabilities = ["read"]
}

# Signs user tokens with a key that it can't read. The key's public half and its versions become the
# published JWKS.
path "transit/sign/souk-tokens" {
  capabilities = ["update"]
}

path "transit/sign/souk-tokens/sha2-256" {
  capabilities = ["update"]
}

path "transit/keys/souk-tokens" {
  capabilities = ["read"]
}
