# Other services reserve stock by events.
Kind = "service-intentions"
Name = "inventory"
Sources = [
  { Name = "gateway", Action = "allow" },
]
