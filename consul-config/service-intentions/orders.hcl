# Only people order.
Kind = "service-intentions"
Name = "orders"
Sources = [
  { Name = "gateway", Action = "allow" },
]
