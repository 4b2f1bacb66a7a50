// Package runtimetest holds what tests need around runtime.Launcher: Run, which
// every launcher must pass, and InProcess, a launcher that runs Go functions, for
// tests of what stands above the launchers.
package runtimetest
