# orders takes prices at placement.
Kind = "service-intentions"
Name = "catalog"
Sources = [
  { Name = "gateway", Action = "allow" },
  { Name = "orders", Action = "allow" },
]
