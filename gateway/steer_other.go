//go:build !linux

package main

import "errors"

func steer(uint32) func(int) error { return unsteer }

func unsteer(int) error { return errors.ErrUnsupported }
