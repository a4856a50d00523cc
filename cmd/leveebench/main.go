// Command leveebench measures Levee beside the peers that are installed on this
// machine: the same load, interleaved rounds, the server on one core and load
// and origin on another. Its figure is CPU time of the server's process tree
// per request (user and system, from /proc), the one that can be trusted on a
// shared machine; what counts is the ratio between subjects of one run.
//
//	go run ./cmd/leveebench [-rounds 5] [-seconds 3] [-subjects levee,nginx] [-scenarios hit1k,miss4k]
//
// It runs itself for the parts that must not share a process: "origin" is what
// is fetched from, "load" makes the requests of one round, "pinned" runs a
// command on one core. Everything is on loopback, below a temporary folder, and
// ends with it. Linux only, with two cores at least.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags of a measurement.
type options struct {
	rounds    int
	length    time.Duration // of a round
	subjects  []string
	scenarios []scenario
	levee     string // binary; "" = build it from the module here
	json      bool
	perf      bool
}

// run is the program as a value. Exit codes: 0, 1 (it could not be measured), 2
// (usage).
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == "origin":
		err = runOrigin(args[1:], out)
	case len(args) > 0 && args[0] == "load":
		err = runLoad(ctx, args[1:], out)
	case len(args) > 0 && args[0] == "pinned":
		err = runPinned(args[1:])
	default:
		var o *options
		if o, err = parse(args, errs); err == nil {
			err = measure(ctx, o, out, errs)
		}
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errs, "leveebench: %v\n", err)
		return 2
	}
	fmt.Fprintf(errs, "leveebench: %v\n", err)
	return 1
}

type usageError string

func (u usageError) Error() string { return string(u) }

func parse(args []string, errs io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("leveebench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.rounds, "rounds", 5, "measured rounds of each subject, 1 to 100; medians are told")
	seconds := f.Float64("seconds", 3, "length of a round, 0.2 to 60")
	subjects := f.String("subjects", "levee,nginx", "what to measure; ratios are to nginx, where it is among them")
	names := f.String("scenarios", "hit1k,hit1k-tls,hit1k-h2,hit64k,miss4k", "which loads: "+strings.Join(scenarioNames(), ", "))
	f.StringVar(&o.levee, "levee", "", "the levee binary (default: built from the module in this folder)")
	f.BoolVar(&o.json, "json", false, "print JSON in place of a table")
	f.BoolVar(&o.perf, "perf", false, "after each scenario, print the top of a profile of levee by perf")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError(err.Error())
	}
	o.length = time.Duration(*seconds * float64(time.Second))
	o.subjects = strings.Split(*subjects, ",")
	switch {
	case f.NArg() > 0:
		return nil, usageError(fmt.Sprintf("%q: there are only flags, and the subcommands origin, load and pinned", f.Arg(0)))
	case o.rounds < 1 || o.rounds > 100:
		return nil, usageError(fmt.Sprintf("-rounds %d: write 1 to 100", o.rounds))
	case o.length < 200*time.Millisecond || o.length > time.Minute:
		return nil, usageError(fmt.Sprintf("-seconds %v: write 0.2 to 60", *seconds))
	}
	for _, s := range o.subjects {
		if s != "levee" && s != "nginx" {
			return nil, usageError(fmt.Sprintf("-subjects %s: write levee, nginx or both, with a comma between", s))
		}
	}
	for _, name := range strings.Split(*names, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, usageError(fmt.Sprintf("-scenarios %s: write some of %s", name, strings.Join(scenarioNames(), ",")))
		}
		o.scenarios = append(o.scenarios, scenarios[i])
	}
	return o, nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
