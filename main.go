// Command millrace is an API gateway and a functions platform in one process.
package main

import (
	"os"

	"millrace/cli"
	"millrace/whisk/runtime/process"
)

func main() {
	process.Main() // does not return if this process was started to run a function
	os.Exit(cli.Main())
}
