#!/usr/bin/env bats
# Completion in fish, which prints what it would offer.
# shellcheck disable=SC2016 # fish expands these

load pty

# The candidates for the line, without their help.
candidates() {
	described "$1" | cut -f 1
}

described() {
	line=$1 fish --no-config -c '
		source "$MEMNET_SRC/completions/memnet.fish"
		complete -C "$line"' | sort
}

@test "commands, verbs and options" {
	[ "$(candidates 'memnet st')" = stream ]
	[ "$(candidates 'memnet share cr')" = create ]
	[ "$(candidates 'memnet share create --siz')" = --size ]
	[ -z "$(candidates 'memnet share nothing ')" ]
}

@test "candidates have their help" {
	described 'memnet share cr' | grep -E $'^create\t[a-z]'
}

@test "live names" {
	[ "$(candidates 'memnet share show ' | xargs)" = 'web1/in web1/out web2/only' ]
	[ "$(candidates 'memnet share attach w' | xargs)" = 'web1 web2' ]
	[ "$(candidates "memnet share attach --runtime-dir '$HOME/rt' ")" = other ]
}

@test "values" {
	[ "$(candidates 'memnet share create --huge a' | xargs)" = 'advise always' ]
	[ "$(candidates 'memnet share create --huge=a' | xargs)" = '--huge=advise --huge=always' ]
}

@test "paths with odd names" {
	[ "$(candidates 'memnet share list --config odd')" = 'odd dir/' ]
	[ "$(candidates 'memnet share list --config odd\ dir/a')" = "odd dir/a \$x;'q'.conf" ]
	[ "$(candidates 'memnet share list --config=odd\ dir/a')" = "--config=odd dir/a \$x;'q'.conf" ]
	[ "$(candidates 'memnet share mount memnet odd')" = 'odd dir/' ]
	[ "$(candidates 'memnet share mount memnet odd\ dir/')" = 'odd dir/in it/' ]
}

@test "links, and memnet by its path" {
	[ "$(candidates 'memnet-share cr')" = create ]
	[ "$(candidates "$HOME/bin/memnet share cr")" = create ]
}

@test "nothing on the line is run" {
	candidates 'memnet share (touch hacked) '
	candidates 'memnet share attach --runtime-dir (touch hacked) '
	candidates "memnet share '\$(touch hacked)' "
}

@test "no memnet, no noise" {
	run fish --no-config -c 'set PATH /nonexistent; source "$MEMNET_SRC/completions/memnet.fish"
		complete -C "memnet "'
	[ -z "$output" ]
}
