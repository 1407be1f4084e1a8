//go:build !linux

package rig

import "syscall"

// dieWithParent can do nothing here: processes end with Close alone.
func dieWithParent() *syscall.SysProcAttr { return nil }
