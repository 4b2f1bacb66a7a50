package plugins

import "millrace/plugin"

func init() {
	plugin.Register[serverlessPostFunction]("serverless-post-function", -2000, serverlessSchema)
}

// serverlessPostFunction runs Lua functions after the other plugins of a phase.
type serverlessPostFunction struct{ serverless }
