# bash completion for memnet(1) and its links. What there is to complete, the binary knows:
# `memnet --complete WORD…` prints it, so that nothing here needs to change with memnet.

# The word $1 as the command would get it, in $REPLY; nothing in it is run or expanded.
_memnet_unquote() {
	local text=$1 quote='' char i
	REPLY=
	for ((i = 0; i < ${#text}; i++)); do
		char=${text:i:1}
		case $quote$char in
		\\ | \"\\) REPLY+=${text:++i:1} ;;
		"'" | '"') quote=$char ;;
		"''" | '""') quote= ;;
		*) REPLY+=$char ;;
		esac
	done
}

# The words up to the cursor, in $words. Readline also breaks them at '=' and ':'; what no blank
# separates on the line is one.
_memnet_words() {
	local rest=${COMP_LINE:0:COMP_POINT} blanks word
	words=()
	for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
		blanks=${rest%%[^[:blank:]]*}
		rest=${rest:${#blanks}}
		word=${rest:0:${#word}}
		rest=${rest:${#word}}
		if [[ $blanks || ! ${words+set} ]]; then
			words+=("$word")
		else
			words[-1]+=$word
		fi
	done
}

_memnet() {
	local words=() unquoted=() line name value broken REPLY file='' dir='' command=''

	COMPREPLY=()
	_memnet_words
	for line in "${words[@]}"; do
		_memnet_unquote "$line"
		unquoted+=("$REPLY")
	done
	# Readline puts the answer in the place of what is behind the last break.
	value=${unquoted[-1]##*["${COMP_WORDBREAKS//[!=:]/}"]}
	[[ $COMP_WORDBREAKS == *[=:]* ]] || value=${unquoted[-1]}
	broken=${unquoted[-1]:0:${#unquoted[-1]}-${#value}}
	while IFS= read -r line; do
		name=${line%%$'\t'*}
		case $name in
		:file) file=1 ;;
		:dir) dir=1 ;;
		:command) command=1 ;;
		*) COMPREPLY+=("${name#"$broken"}") ;;
		esac
	done < <("${unquoted[0]/#\~\//$HOME/}" --complete "${unquoted[@]:1}" 2>/dev/null </dev/null)

	if [[ ${COMPREPLY[*]} == *[=:/] && ${#COMPREPLY[@]} -eq 1 ]]; then
		compopt -o nospace 2>/dev/null
	fi
	_memnet_paths
}

# Readline completes paths by itself, and quotes them, where there is nothing but paths.
_memnet_paths() {
	local paths=()
	[[ $file$dir$command ]] || return 0
	if [[ ! $command && ! ${COMPREPLY[*]} ]]; then
		compopt -o "${file:+default}${dir:+dirnames}" 2>/dev/null
		return 0
	fi
	mapfile -t paths < <(compgen ${file:+-f} ${dir:+-d} ${command:+-c} -- "$value")
	COMPREPLY+=("${paths[@]}")
	compopt -o filenames 2>/dev/null
}

complete -F _memnet memnet
while IFS= read -r REPLY; do
	complete -F _memnet "memnet-$REPLY"
done < <(memnet --list-commands 2>/dev/null)
