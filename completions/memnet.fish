# fish completion for memnet(1) and its links. What there is to complete, the binary knows:
# `memnet --complete WORD…` prints it, so that nothing here needs to change with memnet.

function __memnet_complete
    set -l words (commandline -opc)
    set -l command (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $command; or return
    set -l current (commandline -ct)
    set -l word (string unescape -- $current; or echo $current)
    # Paths stand behind "--name=" too.
    set -l option (string match -r -- '^--[^=]*=' $word)
    set -l value (string replace -r -- '^--[^=]*=' '' $word)

    command $command --complete $words[2..] "$word" 2>/dev/null </dev/null | while read -l line
        switch $line
            case :file
                __fish_complete_path "$value" | string replace -r -- '^' "$option"
            case :dir
                __fish_complete_directories "$value" '' | string replace -r -- '^' "$option"
            case :command
                complete -C "$value"
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c memnet -f -a '(__memnet_complete)'
if command -q memnet
    for command in (memnet --list-commands)
        complete -c memnet-$command -f -a '(__memnet_complete)'
    end
end
