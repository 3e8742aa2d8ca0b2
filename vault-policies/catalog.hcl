# catalog: products in MongoDB.

# Its mTLS certificate.
path "pki/issue/catalog" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/catalog" {
  capabilities = ["read"]
}
