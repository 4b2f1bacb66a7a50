package runtimetest

import (
	"testing"

	"millrace/whisk/runtime"
)

func TestInProcess(t *testing.T) {
	Run(t, func(*testing.T) runtime.Launcher { return NewInProcess(Functions()) })
}
