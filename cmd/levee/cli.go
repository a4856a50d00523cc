package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit codes of every subcommand.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked failed
	exitUsage  = 2
)

// cli is the command line; each subcommand has its own file.
type cli struct {
	Run     runCmd     `cmd:"" help:"Run a node: by its config, or as one edge in front of --origin."`
	Demo    demoCmd    `cmd:"" help:"A whole CDN in one process on loopback, with a sample origin."`
	Check   checkCmd   `cmd:"" help:"Tell every mistake of a config, with its line and what to write."`
	Explain explainCmd `cmd:"" help:"Say what the node would do with a URL, and why."`
	Trust   trustCmd   `cmd:"" help:"Show the internal CA's root certificate and how to trust it."`
	Schema  schemaCmd  `cmd:"" help:"Print the JSON Schema of the config, for editors."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// std is what a subcommand may talk to.
type std struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	err    io.Writer
	reload <-chan struct{} // asks a running node to read its config again; nil = by SIGHUP
}

// failure is an error that has been told already: only the exit code is left.
type failure struct{}

func (failure) Error() string { return "failed" }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// run is the program as a value: everything that it touches is an argument.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(&std{ctx: ctx, in: stdin, out: stdout, err: stderr}, args)
}

func runWith(s *std, args []string) (code int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("levee"),
		kong.Description("A CDN that you run yourself: edge cache, TLS, HTTP/1-2-3."),
		kong.Writers(s.out, s.err), kong.UsageOnError(),
		kong.Exit(func(code int) { exited = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic("BUG: the command line does not compile: " + err.Error())
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(s.err, "levee: %v\nTry: levee --help\n", err)
		return exitUsage
	}
	err = parsed.Run(s)
	var usage usageError
	var h hinted
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failure{}):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(s.err, "levee: %v\nTry: levee %s --help\n", err, strings.Fields(parsed.Command())[0])
		return exitUsage
	}
	fmt.Fprintf(s.err, "levee: %v\n", err)
	if errors.As(err, &h) {
		fmt.Fprintf(s.err, "hint: %s\n", h.hint)
	}
	return exitFailed
}

// usageError is a mistake in the command line that the parser cannot see.
type usageError string

func (u usageError) Error() string { return string(u) }
