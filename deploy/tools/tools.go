// Package tools is a module of its own for what checks the repository and is no part of the program: staticcheck, and the parser that
// holds compose.yaml to its rules. Their dependencies stay out of the main go.mod that way.
package tools
