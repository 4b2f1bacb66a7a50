// Command millrace is an API gateway and a functions platform in one process.
package main

import (
	"os"

	"millrace/cli"
	"millrace/whisk/runtime/process"
)

func main() {
	process.Main() // does not return in the child processes that become instances
	os.Exit(cli.Main())
}
