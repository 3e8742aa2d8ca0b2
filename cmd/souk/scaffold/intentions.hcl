# Nobody but the gateway calls it.
Kind = "service-intentions"
Name = "probe"
Sources = [
  { Name = "gateway", Action = "allow" },
]
