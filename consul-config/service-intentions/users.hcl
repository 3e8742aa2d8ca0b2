# Whoever verifies a user's token fetches keys and revocations here, and every service does. What else a caller may
# ask is a matter of the user's token, or of the caller's name: only notifications gets an address.
Kind = "service-intentions"
Name = "users"
Sources = [
  { Name = "*", Action = "allow" },
]
