// Package gate owns one question: may this request pass, and what does it then carry. It finds the
// credential, has it verified, applies the policy, and rewrites the request so that the application
// sees verified identity headers and nothing a client forged.
package gate
