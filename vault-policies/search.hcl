# search: a projection of the catalogue in Elasticsearch.

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/search" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/search" {
  capabilities = ["read"]
}
