// Command millrace is an API gateway and a functions platform in one process.
package main

import (
	"os"

	"millrace/cli"
)

func main() { os.Exit(cli.Main()) }
