// Package explain owns what can be said about a configuration that does not run: whether it would
// start and what is dangerous about it (`caddy auth check`), what its gates decide about a request
// (`explain`), and whether it accepts a token (`token inspect`). It provisions the configuration,
// opens its store for reading, and writes nothing.
package explain
