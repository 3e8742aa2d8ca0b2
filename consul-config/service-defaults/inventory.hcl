# HTTP is what makes splitter and resolver entries possible.
Kind     = "service-defaults"
Name     = "inventory"
Protocol = "http"
