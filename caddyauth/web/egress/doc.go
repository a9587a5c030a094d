// Package egress owns outgoing HTTP requests to addresses that a configuration or another server's
// answer names: key sets, discovery documents, introspection endpoints. Such an address must not
// make the server talk to its own network (server-side request forgery), and an answer must not
// take more time or memory than it is given.
//
// [Client] applies the rules to every hop, redirects included, and checks the address that is
// dialled, after the name was resolved.
package egress
