# For the completion tests: an interactive shell on a terminal of its own, typed into.

setup_file() {
	export MEMNET_SRC=${MEMNET_SRC:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
	export MEMNET=${MEMNET:-$MEMNET_SRC/build/memnet}
	export MEMNET_RUNTIME_DIR=$BATS_FILE_TMPDIR/run HOME=$BATS_FILE_TMPDIR/home
	mkdir -p "$HOME/bin" "$HOME/odd dir/in it" "$HOME/rt/other" \
		"$MEMNET_RUNTIME_DIR"/{web1/{out,in,'a b','$(touch hacked)'},web2/only,'x y'}
	: >"$HOME/odd dir/a \$x;'q'.conf"
	ln -s "$MEMNET" "$HOME/bin/memnet"
	ln -s memnet "$HOME/bin/memnet-share"
	PATH=$HOME/bin:$PATH
	cd "$HOME" || return
}

setup() {
	cd "$HOME" || return
}

teardown() {
	[ ! -e "$HOME/hacked" ]
}

# Types each LINE and a tab into the shell that `script -c "$1"` starts, whose ^Xp appends the line
# as it then stands to $HOME/typed; prints these lines. What the terminal showed is in $HOME/screen.
# The shell's start-up file ends with $ready: before that, the terminal would edit lines itself.
type_into() {
	local shell=$1 line
	shift
	rm -f "$HOME/typed" "$HOME/ready"
	mkfifo "$HOME/ready"
	{
		timeout 120 cat "$HOME/ready"
		for line; do
			printf '%s\t\030p\025' "$line"
		done
		printf 'exit\r'
	} | TERM=dumb timeout 120 script -qec "$shell" /dev/null >"$HOME/screen"
	cat "$HOME/typed"
}
export ready='stty raw -echo; : >"$HOME/ready"'
