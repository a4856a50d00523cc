//go:build race

package edge

// slower divides rates that a test must reach: the race detector costs as much.
const slower = 8
