# gateway: the way in. It verifies user tokens with published keys, so it needs no transit.

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/gateway" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/gateway" {
  capabilities = ["read"]
}
