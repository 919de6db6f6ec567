// Package tools is a module of its own for what checks, measures and packs the repository and is no part of the
// program. Its dependencies stay out of the main go.mod that way.
package tools
