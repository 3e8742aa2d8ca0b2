# Products reach it by events.
Kind = "service-intentions"
Name = "search"
Sources = [
  { Name = "gateway", Action = "allow" },
]
