package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// addCompletion gives a program the command completion, whose script for bash
// also works where the package bash-completion is not installed.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	bash, _, err := root.Find([]string{"completion", "bash"})
	if err != nil || bash.Name() != "bash" {
		return
	}
	bash.Long = fmt.Sprintf(`Print the completion script for bash.

For this shell:    source <(%[1]s completion bash)
For every new one: %[1]s completion bash > ~/.local/share/bash-completion/completions/%[1]s
(that folder is read by the package bash-completion; without the package, put the first line into ~/.bashrc).`, root.Name())
	script := bash.RunE
	bash.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := fmt.Fprint(cmd.OutOrStdout(), bashWords); err != nil {
			return err
		}
		return script(cmd, args)
	}
}

// bashWords stands in for the one function that cobra's script takes from the
// package bash-completion. Like that function when told -n =: it splits the line
// at blanks only.
const bashWords = `if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref()
    {
        local line=${COMP_LINE:0:COMP_POINT}
        read -ra words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=("")
        cword=$((${#words[@]} - 1))
        cur=${words[cword]}
        prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi

`
