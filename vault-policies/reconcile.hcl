# reconcile: reads the books of orders, inventory and payments through their own routes; it has no database.

# Its mTLS certificate: Vault signs the request, the key stays in the process.
path "pki/sign/reconcile" {
  capabilities = ["update"]
}
