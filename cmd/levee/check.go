package main

import (
	"fmt"

	"levee/config"
)

type checkCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The config to check."`
}

func (c checkCmd) Run(s *std) error {
	cfg, problems, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(s.out, p.String())
	}
	if config.Failed(problems) {
		return failure{}
	}
	fmt.Fprintf(s.out, "%s: good: %d %s\n", c.Config, len(cfg.Sites), plural(len(cfg.Sites), "site"))
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

type schemaCmd struct{}

func (schemaCmd) Run(s *std) error {
	b, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = s.out.Write(b)
	return err
}
