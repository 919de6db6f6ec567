// Package links holds the links of Markdown documents: a relative one leads to a file of the repository, and its anchor
// to a heading there. Links to other sites are not followed.
package links
