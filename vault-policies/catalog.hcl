# catalog: products in MongoDB.

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/catalog" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/catalog" {
  capabilities = ["read"]
}
