# HTTP is what makes splitter and resolver entries possible.
Kind     = "service-defaults"
Name     = "users"
Protocol = "http"
