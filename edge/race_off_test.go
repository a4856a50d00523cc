//go:build !race

package edge

// slower divides rates that a test must reach.
const slower = 1
