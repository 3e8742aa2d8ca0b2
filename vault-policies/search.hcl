# search: a projection of the catalogue in Elasticsearch.

# Its mTLS certificate.
path "pki/issue/search" {
  capabilities = ["update"]
}

# Secrets that a third party gave us.
path "secret/data/souk/search" {
  capabilities = ["read"]
}
