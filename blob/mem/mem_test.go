package mem_test

import (
	"testing"

	"millrace/blob"
	"millrace/blob/blobtest"
	"millrace/blob/mem"
)

func TestStore(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return mem.New() })
}
