# notifications: e-mails and the log of what was sent.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/notifications" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/notifications/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/notifications" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/notifications" {
  capabilities = ["read"]
}
