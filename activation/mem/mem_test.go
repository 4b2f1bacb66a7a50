package mem_test

import (
	"testing"

	"millrace/activation"
	"millrace/activation/activationtest"
	"millrace/activation/mem"
)

func TestLog(t *testing.T) {
	activationtest.Run(t, func(*testing.T) activation.Log { return mem.New() })
}
