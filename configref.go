package headlight

import _ "embed"

// ConfigReference is headlight.toml: the configuration file of the command
// with every key, its default, and what it means.
//
//go:embed headlight.toml
var ConfigReference string
