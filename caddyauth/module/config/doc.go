// Package config owns the settings of the global option `auth`: one file per option with its
// struct, its rules, its Caddyfile syntax, and the value that it stands for. Settings are what the
// configuration says; Server is what they mean once placeholders are resolved and defaults are
// filled in.
package config
