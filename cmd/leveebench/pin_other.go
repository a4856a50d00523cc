//go:build !linux

package main

import (
	"context"
	"errors"
	"os/exec"
)

var errLinux = errors.New("leveebench runs on Linux only: it pins to cores and reads /proc")

func runPinned([]string) error { return errLinux }

func pinned(context.Context, int, string, ...string) (*exec.Cmd, error) { return nil, errLinux }

func cores() (server, load int, err error) { return 0, 0, errLinux }
