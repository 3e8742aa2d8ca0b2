# Other services reserve stock by events; reconcile compares.
Kind = "service-intentions"
Name = "inventory"
Sources = [
  { Name = "gateway", Action = "allow" },
  { Name = "reconcile", Action = "allow" },
]
