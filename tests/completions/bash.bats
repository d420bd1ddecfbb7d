#!/usr/bin/env bats
# Completion in bash: the function as readline calls it, and readline itself.
# shellcheck disable=SC2016,SC2088 # what is typed is not expanded here

load pty

# The candidates for the words given, as COMP_WORDS has them, and $line if it is not these with a
# blank between each two.
candidates() {
	line=${line-$*} bash --norc -c '
		source "$MEMNET_SRC/completions/memnet.bash"
		COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_memnet "$1" "${*: -1}" ""
		((${#COMPREPLY[@]})) && printf "%s\n" "${COMPREPLY[@]}" | sort
	' bash "$@"
}

typed() {
	cat >"$HOME/rc" <<-'EOF'
		PS1=
		source "$MEMNET_SRC/completions/memnet.bash"
		show() { printf '%s|\n' "$READLINE_LINE" >>"$HOME/typed"; }
		bind -x '"\C-xp": show'
		bind 'set bell-style none'
		eval "$ready"
	EOF
	type_into "bash --rcfile '$HOME/rc' -i" "$@"
}

@test "commands, verbs and options" {
	[ "$(candidates memnet st)" = stream ]
	[ "$(candidates memnet share cr)" = create ]
	[ "$(candidates memnet share create --si)" = --size ]
	[ -z "$(candidates memnet share nothing '')" ]
}

@test "live names" {
	[ "$(candidates memnet share show '' | xargs)" = 'web1/in web1/out web2/only' ]
	[ "$(candidates memnet share attach w | xargs)" = 'web1 web2' ]
	[ "$(candidates memnet share attach --runtime-dir "'$HOME/rt'" '')" = other ]
	[ "$(candidates memnet share attach --runtime-dir \~/rt '')" = '' ]
}

@test "values, where readline breaks the word at '=' too" {
	line='memnet share create --huge=a' run candidates memnet share create --huge = a
	[ "$output" = $'advise\nalways' ]
	line='memnet share create --huge=' run candidates memnet share create --huge =
	[ "${lines[0]}" = advise ]
	line='memnet share create --huge=never w' run candidates memnet share create --huge = never w
	[ "${lines[0]}" = web1/in ]
	[ "$(candidates memnet share create --huge '"al')" = always ]
}

@test "links" {
	[ "$(candidates memnet-share cr)" = create ]
	bash --norc -c 'source "$MEMNET_SRC/completions/memnet.bash"; complete -p memnet-share'
}

@test "nothing on the line is run" {
	run candidates memnet share '$(touch hacked)' '`touch hacked`'
	[ -z "$output" ]
	run candidates memnet share attach --runtime-dir '$(touch hacked)' ''
	[ -z "$output" ]
	run candidates memnet share create "\$'" "'"
	[ -z "$output" ]
	run candidates 'no such memnet' share ''
	[ -z "$output" ]
}

@test "no memnet, no noise" {
	run bash --norc -c 'PATH=; source "$MEMNET_SRC/completions/memnet.bash"
		COMP_LINE="memnet " COMP_POINT=7 COMP_WORDS=(memnet "") COMP_CWORD=1; _memnet'
	[ -z "$output" ]
}

@test "typed into readline" {
	run typed 'memnet share cr' 'memnet share show web2/' 'memnet share create --huge=wi' \
		'memnet share list --config odd' 'memnet share list --config odd\ dir/a' \
		'memnet share list --config=odd\ dir/a' 'memnet share mount memnet odd' \
		'memnet-share cr' "$HOME/bin/memnet share cr" '~/bin/memnet share cr'
	echo "$output"
	[ "${lines[0]}" = 'memnet share create |' ]
	[ "${lines[1]}" = 'memnet share show web2/only |' ]
	[ "${lines[2]}" = 'memnet share create --huge=within_size |' ]
	[ "${lines[3]}" = 'memnet share list --config odd\ dir/|' ]
	[ "${lines[4]}" = "memnet share list --config odd\\ dir/a\\ \\\$x\\;\\'q\\'.conf |" ]
	[ "${lines[5]}" = "memnet share list --config=odd\\ dir/a\\ \\\$x\\;\\'q\\'.conf |" ]
	[ "${lines[6]}" = 'memnet share mount memnet odd\ dir/|' ]
	[ "${lines[7]}" = 'memnet-share create |' ]
	[ "${lines[8]}" = "$HOME/bin/memnet share create |" ]
	[ "${lines[9]}" = '~/bin/memnet share create |' ]
}
