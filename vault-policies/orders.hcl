# orders: carts, orders and the checkout saga.

# A PostgreSQL user of its own, and the right to end it early when the pool has moved to the next.
path "database/creds/orders" {
  capabilities = ["read"]
}

path "sys/leases/revoke/database/creds/orders/*" {
  capabilities = ["update"]
}

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/orders" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/orders" {
  capabilities = ["read"]
}
