# inventory: stock and reservations.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/inventory" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/inventory/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/inventory" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/inventory" {
  capabilities = ["read"]
}
