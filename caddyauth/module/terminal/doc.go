// Package terminal owns how commands write for a person at a terminal: text that a stranger had a
// say in cannot confuse the terminal, columns are aligned, and JSON is indented.
package terminal
