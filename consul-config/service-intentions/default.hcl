# Nobody calls anybody, except as the other files here allow.
Kind = "service-intentions"
Name = "*"
Sources = [
  { Name = "*", Action = "deny" },
]
