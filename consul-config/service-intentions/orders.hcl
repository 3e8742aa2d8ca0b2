# People order; reconcile compares.
Kind = "service-intentions"
Name = "orders"
Sources = [
  { Name = "gateway", Action = "allow" },
  { Name = "reconcile", Action = "allow" },
]
