#!/usr/bin/env bats
# Completion in zsh, typed into its line editor.
# shellcheck disable=SC2016,SC2088 # what is typed is not expanded here

load pty

typed() {
	cat >"$HOME/.zshrc" <<-'EOF'
		PS1=
		fpath=("$MEMNET_SRC/completions" $fpath)
		autoload -Uz compinit && compinit -D -u
		show() { print -r -- "$BUFFER|" >>"$HOME/typed"; }
		zle -N show && bindkey -e && bindkey '^Xp' show
		unsetopt beep
		LISTMAX=1000
		eval "$ready"
	EOF
	ZDOTDIR=$HOME type_into 'zsh -d -i' "$@"
}

@test "commands, verbs, options and values" {
	run typed 'memnet st' 'memnet share cr' 'memnet share create --siz' \
		'memnet share create --huge wi' 'memnet share create --huge=wi' 'memnet share nothing '
	echo "$output"
	[ "${lines[0]}" = 'memnet stream |' ]
	[ "${lines[1]}" = 'memnet share create |' ]
	[ "${lines[2]}" = 'memnet share create --size |' ]
	[ "${lines[3]}" = 'memnet share create --huge within_size |' ]
	[ "${lines[4]}" = 'memnet share create --huge=within_size |' ]
	[ "${lines[5]}" = 'memnet share nothing |' ]
}

@test "candidates are listed with their help" {
	typed 'memnet share de'
	grep -E 'destroy +-- [a-z]' "$HOME/screen"
	grep -E 'detach +-- [a-z]' "$HOME/screen"
	run grep -E 'create +--' "$HOME/screen"
	[ "$status" -eq 1 ]
}

@test "live names" {
	run typed 'memnet share show web2' 'memnet share show web' 'memnet share show web1/o' \
		"memnet share attach --runtime-dir '$HOME/rt' " 'memnet share attach --runtime-dir ~/rt '
	echo "$output"
	[ "${lines[0]}" = 'memnet share show web2/only |' ]
	[ "${lines[1]}" = 'memnet share show web|' ]
	[ "${lines[2]}" = 'memnet share show web1/out |' ]
	[ "${lines[3]}" = "memnet share attach --runtime-dir '$HOME/rt' other |" ]
	grep -q 'web1/in' "$HOME/screen"
	run grep 'a b' "$HOME/screen"
	[ "$status" -eq 1 ]
}

@test "paths with odd names" {
	run typed 'memnet share list --config odd' 'memnet share list --config odd\ dir/a' \
		'memnet share list --config=odd\ dir/a' 'memnet share mount memnet odd'
	echo "$output"
	[ "${lines[0]}" = 'memnet share list --config odd\ dir/|' ]
	[ "${lines[1]}" = "memnet share list --config odd\\ dir/a\\ \\\$x\\;\\'q\\'.conf |" ]
	[ "${lines[2]}" = "memnet share list --config=odd\\ dir/a\\ \\\$x\\;\\'q\\'.conf |" ]
	[ "${lines[3]}" = 'memnet share mount memnet odd\ dir/|' ]
}

@test "links, and memnet by its path" {
	run typed 'memnet-share cr' "$HOME/bin/memnet share cr" '~/bin/memnet share cr'
	echo "$output"
	[ "${lines[0]}" = 'memnet-share create |' ]
	[ "${lines[1]}" = "$HOME/bin/memnet share create |" ]
	[ "${lines[2]}" = '~/bin/memnet share create |' ]
}

@test "nothing on the line is run" {
	typed 'memnet share $(touch hacked) ' 'memnet share `touch hacked` c' \
		'memnet share attach --runtime-dir "$(touch hacked)" '
}
