package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that lets a shell complete commands, flags and names",
		ArgsUsage: "bash|zsh|fish",
		Description: "   bash: source <(composerp completion bash), in ~/.bashrc\n" +
			"   zsh:  source <(composerp completion zsh), in ~/.zshrc behind compinit\n" +
			"   fish: composerp completion fish > ~/.config/fish/completions/composerp.fish",
		Action: func(cctx *cli.Context) error {
			script, ok := completionScripts[cctx.Args().First()]
			if !ok || cctx.NArg() != 1 {
				return exit.Usage("name one shell: %s", strings.Join(slices.Sorted(maps.Keys(completionScripts)), ", "))
			}
			_, err := fmt.Fprint(cctx.App.Writer, script)
			return err
		},
	}
}

// completionScripts ask the program itself, so that they never grow old.
var completionScripts = map[string]string{
	"bash": `# Lets bash complete composerp: source <(composerp completion bash)
_composerp() {
    local found
    COMPREPLY=()
    found=$("$1" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return 0
    if [[ $found == ":files" ]]; then
        local word=${COMP_WORDS[COMP_CWORD]}
        [[ $word == "=" ]] && word=""
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return 0
    fi
    [[ -n $found ]] && mapfile -t COMPREPLY <<<"$found"
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _composerp composerp
`,
	"zsh": `#compdef composerp
# Lets zsh complete composerp: source <(composerp completion zsh)
_composerp() {
    local -a lines found
    local line
    lines=("${(@f)$(${words[1]} __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == ":files" ]]; then
        _files
        return
    fi
    for line in $lines; do
        if [[ $line == *$'\t'* ]]; then
            found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            found+=("${line//:/\\:}")
        fi
    done
    _describe composerp found
}
# Loaded from $fpath this file is the function, and the first TAB is to be answered too.
if [[ $funcstack[1] == _composerp ]]; then
    _composerp "$@"
else
    compdef _composerp composerp
fi
`,
	"fish": `# Lets fish complete composerp: composerp completion fish > ~/.config/fish/completions/composerp.fish
function __composerp_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete fish $words[2..-1] 2>/dev/null)
    if test "$found" = ":files"
        __fish_complete_path (commandline -ct)
        return
    end
    printf '%s\n' $found
end
complete -c composerp -f -a '(__composerp_complete)'
`,
}
