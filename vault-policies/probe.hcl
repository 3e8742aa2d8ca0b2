# probe: the job that proves the chain which every service relies on.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/probe" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/probe/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/probe" {
  capabilities = ["update"]
}

# The probe's own walk (cmd/probe) has Vault make the key as well.
path "pki/issue/probe" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/probe" {
  capabilities = ["read"]
}
