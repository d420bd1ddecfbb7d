# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# The scenarios of delivery: transcode, compress (with files), capacity and caps.

level=9		# of compression: what takes the guest's CPU longer than writing its result does
input_mb=24 piece_mb=4
files=60	# of the set; 128 KB each

# --- jobs ------------------------------------------------------------------------------------------------------------

prepare_jobs() {
	local way

	for way in $(ways); do
		guest "mkdir -p $(folder_of "$way")/out" || die "the guest cannot write for $way"
	done
	mkdir -p "$work/bare/out" "$work/in" "$work/bin"
	ln -s "$MEMNET" "$work/bin/memnet"
	[ "$only" = transcode ] || prepare_compress
	[[ ,$only, != *,transcode,* ]] || prepare_transcode
	[ -z "$bare" ] || prepare_bare
}

# What takes an emulated CPU seconds is done by the host's in a moment, too short for its power to be seen: there it is
# done as often as half the job's time wants.
declare -A bare_times=([transcode]=1 [compress]=1)

prepare_bare() {
	local way=bare kind began

	for kind in transcode compress; do
		[[ ,$only, == *,$kind,* ]] || continue
		began=$(now)
		at_way "$(job "$kind")" >"$work/job.log" 2>&1 || die "the host failed: $kind: $(tail -n 3 "$work/job.log")"
		bare_times[$kind]=$(how_often "$(minus "$(now)" "$began")" "$(awk -v s="$job_s" 'BEGIN { print s / 2 }')")
		at_way "rm $(folder_of bare)/out/result"
	done
}

# Kernel modules: much code and some data, on every host. Debian 13 packs them.
some_input() {
	local modules=("$MEMNET_GUEST"/linux/lib/modules/*/)

	{
		find "${modules[@]}" -name '*.ko' -print0 | sort -z | xargs -0r cat
		find "${modules[@]}" -name '*.ko.xz' -print0 | sort -z | xargs -0r xz -dc
		find "${modules[@]}" -name '*.ko.zst' -print0 | sort -z | xargs -0r zstd -dcq
	} 2>/dev/null | head -c "${input_mb}M"
}

# Hands a file to the guest through the plain 9p folder, which it reads from but once.
hand_over() {
	cp "$1" "$work/p9/handed"
	guest "cp /mnt/p9/handed $2 && rm /mnt/p9/handed" || die "cannot hand $1 to the guest"
}

# How long the guest takes for a command, in seconds.
guest_seconds() {
	local began

	began=$(now)
	guest "$1" >"$work/job.log" 2>&1 || die "the guest failed: $1: $(tail -n 3 "$work/job.log")"
	minus "$(now)" "$began"
}

# how_often B A: that B goes into A, at least once
how_often() {
	awk -v b="$1" -v a="$2" 'BEGIN { n = int(a / b + 0.5); print (n > 1 ? n : 1) }'
}

# The job is as long as it is to be by compressing its input again and again, each time as one more frame.
prepare_compress() {
	local once

	some_input >"$work/input"
	[ "$(stat -c %s "$work/input")" = $((input_mb << 20)) ] || die "fewer than $input_mb MB of kernel modules"
	hand_over "$work/input" /in/input
	guest "memnet compress -q --fast=20 -o /in/earlier.compress /in/input &&
		dd if=/in/input of=/in/piece bs=1M count=$piece_mb 2>/dev/null && mkdir /in/set &&
		for i in \$(seq $files); do dd if=/in/input of=/in/set/\$i bs=128k skip=\$i count=1 2>/dev/null || exit; done" || die "no input in the guest"
	once=$(guest_seconds "memnet compress -q -f -$level -o /in/trial /in/piece")
	copies=$(how_often "$once" "$job_s")
	head -c "${piece_mb}M" "$work/input" >"$work/in/piece"
	sets=$(how_often "$(awk -v s="$once" -v f="$files" -v m="$piece_mb" 'BEGIN { print s * f / 8 / m }')" "$job_s")
	guest 'rm /in/trial'
	say "compressing $piece_mb MB takes $once s alone; a job does so $copies times"
}

# Moving pictures of our own, small enough for an emulated CPU.
prepare_transcode() {
	local short long

	ffmpeg -v error -f lavfi -i testsrc2=size=640x360:rate=25 -t 10 -c:v mpeg2video -b:v 4M -threads 1 -y -f mpegts "$work/film.ts" ||
		die "ffmpeg cannot make a film"
	hand_over "$work/film.ts" /in/film.ts
	mv "$work/film.ts" "$work/in/"
	film_s=2
	guest_seconds "$(ffmpeg_to /in/trial)" >/dev/null	# the first start reads all its libraries
	short=$(guest_seconds "$(ffmpeg_to /in/trial)")
	film_s=6
	long=$(guest_seconds "$(ffmpeg_to /in/earlier.transcode)")
	film_s=$(awk -v a="$short" -v b="$long" -v j="$job_s" 'BEGIN { n = b > a ? int(2 + (j - a) * 4 / (b - a) + 0.5) : 6; print (n > 2 ? n : 2) }')
	say "a film of $film_s s takes about $job_s s alone ($short s for one of 2 s)"
}

# ffmpeg_to FILE [FOLDER]: of what is in that folder
ffmpeg_to() {
	echo "ffmpeg -nostdin -v error -stream_loop -1 -i ${2:-/in}/film.ts -t $film_s -s 320x180 -c:v libx264 -preset ultrafast -b:v 2M" \
		"-threads 1 -filter_threads 1 -x264-params nal-hrd=cbr:vbv-maxrate=2000:vbv-bufsize=2000 -f mpegts -y $1"
}

# job KIND: the command that makes out/result for $way
job() {
	local to in=/in pieces

	[ "$way" != bare ] || in=$work/in
	pieces=$(printf " $in/piece%.0s" $(seq "${copies:-1}"))
	to=$(folder_of "$way")/out
	case $1.$way in
	compress.memnet) echo "memnet compress -q -f -$level --to $to -o result$pieces" ;;
	compress.*) echo "memnet compress -q -f -$level -o $to/result$pieces" ;;
	transcode.memnet) echo "memnet transcode-hook -q -f --to $to --name result -- $(ffmpeg_to -)" ;;
	transcode.*) ffmpeg_to "$to/result" "$in" ;;
	files.memnet) echo "for i in \$(seq $sets); do mkdir -p $to/\$i && memnet compress -q -f -$level -r --to $to/\$i /in/set || exit; done" ;;
	files.guest) echo "for i in \$(seq $sets); do mkdir -p $to/\$i && memnet compress -q -f -$level -r /in/set && mv /in/set/*.zst $to/\$i || exit; done" ;;
	esac
}

# What the clients fetch: an earlier result of that kind, the same for every way.
serve_earlier() {
	local way

	[ "${earlier:-}" != "$1" ] || return 0
	earlier=$1
	for way in $(ways); do
		guest "cp /in/earlier.$1 $(folder_of "$way")/earlier" || die "no earlier result for $way"
	done
	cp "$work/p9/earlier" "$work/bare/earlier"
}

# --- scenarios -------------------------------------------------------------------------------------------------------

# turns WORD…: in an order of its own for each round, so that what one leaves behind meets all others alike. It is a
# balanced Latin square (Williams): in as many rounds as there are words each has each place once, and each other word
# before it once; of an odd number in twice as many, every second one backwards.
turns() {
	local n=$# i at order=()

	for ((i = 0; i < n; i++)); do
		at=$(((i % 2 ? (i + 1) / 2 : n - i / 2) + round - 1))	# 0, 1, n - 1, 2, n - 2, …
		order+=("${@:at % n + 1:1}")
	done
	if ((n % 2 && round % 2 == 0)); then
		printf '%s\n' "${order[@]}" | tac
	else
		printf '%s\n' "${order[@]}"
	fi
}

progress() {
	say "round $round of $rounds: $scenario, $(title_of "$way"), $cap"
}

# deliver KIND WAY…: the job alone in the ways that are different then, and beside clients in all
deliver() {
	local kind=$1 way cap alone=(guest memnet)

	shift
	[[ " $* " != *" bare "* ]] || alone+=(bare)
	scenario=$kind
	for way in $(turns "${alone[@]}"); do
		cap=alone
		in_time || continue
		progress
		undisturbed "$(job "$kind")"
		finish_job "$kind"
	done
	for way in $(turns "$@"); do
		cap=clients
		in_time || continue
		progress
		delivered "$clients" "$(job "$kind")"
		finish_job "$kind"
	done
}

finish_job() {
	case $1.$way in
	files.*) check_files ;;
	transcode.bare) at_way "rm $(folder_of bare)/out/result" || die "no result on the host" ;;	# by another CPU's instructions
	*) check_result "$1" out/result ;;
	esac
}

# The files themselves as clients get them; in the order of their names, as where each way puts them is its own.
check_files() {
	local want=$((files * sets)) have

	mapfile -t have < <(guest "cd $(folder_of "$way") && find out -name '*.zst'" | awk -F / '{ print $2, $NF, $0 }' | LC_ALL=C sort | cut -d ' ' -f 3)
	[ ${#have[@]} = "$want" ] || die "$way delivers ${#have[@]} files of $want"
	check_result files "${have[@]}"
}

scenario_transcode() {
	serve_earlier transcode
	# shellcheck disable=SC2046 # words
	deliver transcode $(ways) $bare
}

scenario_compress() {
	serve_earlier compress
	# shellcheck disable=SC2046 # words
	deliver compress $(ways) $bare
}

scenario_files() {
	serve_earlier compress
	deliver files guest memnet
}

# --- with a job that does not end ------------------------------------------------------------------------------------

start_endless_job() {
	guest ": >/run/go; while [ -e /run/go ]; do $1; done" >"$work/job.log" 2>&1 &
	job_pid=$!
}

stop_endless_job() {
	guest 'rm /run/go; killall memnet ffmpeg; true' >/dev/null 2>&1
	wait "$job_pid"
	guest "rm -rf $(folder_of "$way")/out/*"
}

# More and more clients, until the server cannot feed them: how many it fed before.
scenario_capacity() {
	local way cap=ramp

	scenario=capacity
	serve_earlier compress
	# shellcheck disable=SC2046 # words
	for way in $(turns $(ways)); do
		in_time || continue
		progress
		start_endless_job "$(job compress)"
		start_clients "$((clients * 4))" "$ramp_s"
		sleep "$((ramp_s + 3))"	# and the grace of capacity.awk
		stop_clients
		stop_endless_job
		figure fed "$(awk -f "$lib/lib/capacity.awk" "$(raw).series.tsv")"
	done
}

scenario_caps() {
	local way cap

	[ -n "$cgroup" ] || return
	scenario=caps
	serve_earlier compress
	for cap in $caps; do
		for way in $(turns guest memnet); do
			in_time || continue
			progress
			under_cap
		done
	done
	cap_vm ''
}

under_cap() {
	local began ended count=$clients

	cap_vm "$cap"
	start_endless_job "$(job compress)"
	start_clients "$clients" 1
	sleep "$settle_s"
	began=$(now)
	sleep "$window_s"
	ended=$(now)
	stop_clients
	cap_vm ''
	stop_endless_job
	phase hybrid "$began" "$ended"
	printf 'job_began\t%s\njob_ended\t%s\n' "$began" "$ended" >"$(raw).phases.tsv"
}

# cap_vm PERCENT: of one CPU, for all of QEMU, which is in the cgroup; without, no limit
cap_vm() {
	local period=100000 quota=

	[ -z "$1" ] || quota=$(($1 * period / 100))
	if [ -f "$cgroup/cpu.max" ]; then
		echo "${quota:-max} $period" >"$cgroup/cpu.max"
	else
		echo "$period" >"$cgroup/cpu.cfs_period_us" && echo "${quota:--1}" >"$cgroup/cpu.cfs_quota_us"
	fi || die "cannot cap QEMU at ${1:-100} % of a CPU in $cgroup"
}
