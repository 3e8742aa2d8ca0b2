package main

import _ "embed"

// openAPI is the REST contract, served as it stands.
//
//go:embed openapi.yaml
var openAPI []byte
