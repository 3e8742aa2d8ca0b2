# gateway: the way in. It verifies user tokens with published keys, so it needs no transit.

# Its mTLS certificate.
path "pki/issue/gateway" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/gateway" {
  capabilities = ["read"]
}
