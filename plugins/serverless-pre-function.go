package plugins

import "millrace/plugin"

func init() {
	plugin.Register[serverlessPreFunction]("serverless-pre-function", 10000, serverlessSchema)
}

// serverlessPreFunction runs Lua functions before the other plugins of a phase.
type serverlessPreFunction struct{ serverless }
