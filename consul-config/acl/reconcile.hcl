# reconcile: asks the three services that share an order.

service "orders" {
  policy = "read"
}

service "inventory" {
  policy = "read"
}

service "payments" {
  policy = "read"
}

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
