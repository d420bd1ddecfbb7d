#!/usr/bin/env bats
# memnet-bench: what it works out of what it saw, a small run to its end, and that nothing is left of it.
# shellcheck disable=SC2030,SC2031 # each test has its own pid

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file() {
	: "${MEMNET_SRC:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
	export MEMNET_SRC
	# Every process of a run carries this in its environment.
	export BENCH_MARK="$BATS_FILE_TMPDIR.$$"
}

setup() {
	bench=$MEMNET_SRC/share/bench/memnet-bench
	lib=$MEMNET_SRC/share/bench/lib
	cd "$BATS_TEST_TMPDIR" || return
}

# tsv FILE: standard input, with tabs for blanks
tsv() {
	tr ' ' '\t' >"$1"
}

# value NAME: of "name value" lines in $output
value() {
	sed -n "s/^$1 //p" <<<"$output"
}

# --- working out -----------------------------------------------------------------------------------------------------

@test "medians and spreads, of odd and even numbers, without what is no number" {
	tsv runs.tsv <<-RUNS
		compress memnet clients 1 job_s 10
		compress memnet clients 2 job_s 9.5
		compress memnet clients 3 job_s 2
		compress memnet clients 4 job_s nan
		compress guest clients 1 job_s 4
		compress guest clients 2 job_s 100
		compress guest clients 1 source model
	RUNS
	run -0 awk -f "$lib/summary.awk" runs.tsv
	[ "${lines[1]}" = $'compress\tmemnet\tclients\tjob_s\t3\t9.5\t2\t10' ]
	[ "${lines[2]}" = $'compress\tguest\tclients\tjob_s\t2\t52\t4\t100' ]
	[ "${#lines[@]}" = 3 ]
}

@test "ways are compared within their round" {
	tsv runs.tsv <<-RUNS
		compress guest clients 1 hybrid_fed 100
		compress memnet clients 1 hybrid_fed 200
		compress guest clients 2 hybrid_fed 400
		compress memnet clients 2 hybrid_fed 600
		compress memnet alone 2 job_s 5
		compress memnet clients 2 job_s 6
		compress bare clients 1 hybrid_fed 250
		compress bare clients 1 hybrid_watts 10
		compress bare alone 1 alone_watts 8
		compress guest clients 1 hybrid_watts 13
		compress guest alone 1 alone_watts 10
		caps memnet 100 1 hybrid_fed 50
		caps memnet 25 1 hybrid_fed 45
	RUNS
	run -0 awk -f "$lib/derive.awk" runs.tsv
	[[ $output == *$'compress\tmemnet\tclients\t1\tfed_by_guest\t2.0000'* ]]
	[[ $output == *$'compress\tmemnet\tclients\t2\tfed_by_guest\t1.5000'* ]]
	[[ $output == *$'compress\tmemnet\tclients\t2\tjob_by_alone\t1.2000'* ]]
	[[ $output == *$'caps\tmemnet\t25\t1\tfed_by_uncapped\t0.9000'* ]]
	[[ $output == *$'compress\tmemnet\tclients\t1\tfed_by_bare\t0.8000'* ]]
	[[ $output == *$'compress\tguest\tclients\t1\thybrid_power_by_bare\t1.3000'* ]]
	[[ $output == *$'compress\tguest\talone\t1\talone_power_by_bare\t1.2500'* ]]
	[[ $output != *$'memnet\tclients\t1\tjob_by_alone'* ]]	# was not measured
}

# Of a phase from 101 to 103: one second at 2 MB, one at 4 MB; half of the last row of power.
@test "a phase takes of each row the part that lies in it" {
	printf '# epoch 100.000\n' | tee series stalls >power
	tsv rows <<-ROWS
		seconds started playing bytes stalls failures
		1.000 10 10 9000000 0 0
		2.000 10 10 2000000 0 0
		4.000 10 5 8000000 3 0
	ROWS
	cat rows >>series
	tsv rows <<-ROWS
		client began seconds
		7 0.500 0.200
		8 1.900 0.300
		8 2.500 0.200
		9 2.800 9.000
	ROWS
	cat rows >>stalls
	echo '# source: model: 5 W idle' >>power
	tsv rows <<-ROWS
		seconds source gaps joules watts a b c d
		1.000 model 2 10.0 10 1 1 1 1.0
		2.000 model 2 22.0 12 1 1 1 2.0
		4.000 model 5 42.0 10 1 1 1 6.0
	ROWS
	cat rows >>power
	run -0 awk -v from=101 -v to=103 -v clients=20 -f "$lib/phase.awk" series stalls power
	[ "$(value bytes)" = 6000000 ]
	[ "$(value mbit)" = 24.000 ]
	[ "$(value fed)" = 12.00 ]
	[ "$(value playing)" = 7.50 ]
	[ "$(value unstalled)" = 18 ]	# 8 and 9 had one; 7's was before
	[ "$(value joules)" = 22.00 ]
	[ "$(value watts)" = 11.000 ]
	[ "$(value clients_joules)" = 3.00 ]
	[ "$(value joules_per_gb)" = 3666.667 ]
	[ "$(value watts_per_client)" = 0.91667 ]
	[ "$(value source)" = model ]
	[ "$(value gaps)" = 3 ]	# and not those before
	run -0 awk -v from=101 -v to=103 -v clients=10 -f "$lib/phase.awk" series stalls power
	[ "$(value fed)" = 10.00 ]	# no more than there are, whatever they make up for
	[ "$(value watts_per_client)" = 1.10000 ]
}

@test "power is sampled often enough for a short job" {
	# Where the machine does not let it: again.
	until_true sampled
}

sampled() {
	local began=$EPOCHREALTIME

	"$MEMNET_SRC/build/tests/bench/power_bench" 2 $$ >power
	awk -F '\t' -v began="$began" -v now="$EPOCHREALTIME" '/^[0-9]/ { rows++; if ($1 - t > most) most = $1 - t; t = $1 }
		END { print rows, most, t; exit !(rows > 5 && t >= 2 && t < now - began + 0.1 && t / rows < 0.3) }' power
}

@test "each way has each place once, and each other before it once" {
	for words in "a b" "a b c" "a b c d"; do
		# shellcheck disable=SC2086 # words
		set -- $words
		# shellcheck disable=SC2016 # for the inner shell
		run -0 bash -c 'source "$1/delivery.sh"; shift; for ((round = 1; round <= $# * (1 + $# % 2); round++)); do echo $(turns "$@"); done' - "$lib" "$@"
		awk -v n=$# '{ for (i = 1; i <= n; i++) { place[i, $i]++; if (i > 1) before[$(i - 1), $i]++ } }
			END { for (p in place) { places++; bad += place[p] != NR / n }
				for (b in before) { pairs++; bad += before[b] != NR / n }
				exit bad || places != n * n || pairs != n * (n - 1) }' <<<"$output"
	done
}

@test "energy that is not known is not told" {
	printf '# epoch 100.000\n# source: none: nothing\n' >power
	tsv rows <<-ROWS
		seconds source gaps joules watts
		1.000 none 0 nan nan
		2.000 none 0 nan nan
	ROWS
	cat rows >>power
	run -0 awk -v from=100 -v to=102 -v clients=0 -f "$lib/phase.awk" power
	[ "$output" = "source none" ]
}

@test "the most clients are those before the server fell behind" {
	{
		printf '# epoch 1.0\nseconds\tstarted\tplaying\tbytes\tstalls\tfailures\n'
		awk 'BEGIN { for (t = 1; t <= 20; t++) print t "\t" t * 10 "\t" (t <= 12 ? t * 10 - 10 : 60) "\t0\t0\t0" }'
	} >series
	# At 12 s the 100 that had begun at 10 s play; later only 60 do.
	[ "$(awk -f "$lib/capacity.awk" series)" = 100 ]
}

@test "a rerun is held against the spread of the run before" {
	mkdir old new
	printf 'rounds\t3\naccelerator\tkvm\n' | tee old/versions.tsv >new/versions.tsv
	for round in 1 2 3; do
		echo "caps memnet 100 $round hybrid_fed 100"
		echo "caps memnet 25 $round hybrid_fed 9$round"
		echo "caps guest 100 $round hybrid_fed 100"
		echo "caps guest 25 $round hybrid_fed 2$round"
		echo "compress memnet alone $round job_s 1$round"
	done | tsv old/runs.tsv
	sed -e '/memnet/s/\t91$/\t93/' -e '/guest/s/\t2.$/\t50/' -e 's/job_s\t/&1/' old/runs.tsv >new/runs.tsv
	run -0 "$bench" --report old
	run -0 "$bench" --report new --against old
	cat new/report.md
	grep -qF '| caps, memnet, 25: fed_by_uncapped | 0.930 | 0.920 (0.910 to 0.930) | yes |' new/report.md
	grep -qF '| caps, guest, 25: fed_by_uncapped | 0.500 | 0.220 (0.210 to 0.230) | **no** |' new/report.md
	[ "$(grep -c 'They differ' new/report.md)" = 0 ]
	grep -qF -e '- The machine was not equally fast: the same job alone took 112.0 s now, 12.0 s then (compress, memnet).' new/report.md
	[ "$(grep -c 'equally fast throughout' new/report.md)" = 0 ]
	sed -i 's/job_s\t113/job_s\t213/' new/runs.tsv
	run -0 "$bench" --report new
	grep -qF -e '- The machine was not equally fast throughout: the same job alone took 111.0 to 213.0 s (compress, memnet).' new/report.md
	run -1 "$bench" --report new --against nowhere
	[[ $output == *"nowhere: no results"* ]]
	run -1 "$bench" --smoke --against nowhere	# before anything is measured
	[[ $output == *"nowhere: no results"* ]]
}

@test "what a rerun cannot be held against is told" {
	mkdir old new
	printf 'rounds\t3\naccelerator\tkvm\nclients\t9\n' >old/versions.tsv
	printf 'rounds\t3\naccelerator\ttcg\nclients\t9\n' >new/versions.tsv
	for round in 1 2 3; do
		echo "caps memnet 100 $round hybrid_fed 100"
		echo "caps memnet 25 $round hybrid_fed 90"
	done | tsv old/runs.tsv
	tsv short <<<"caps guest 100 1 hybrid_fed 100
caps guest 25 1 hybrid_fed 90"
	cat short >>old/runs.tsv
	cp short new/runs.tsv
	"$bench" --report old
	run -0 "$bench" --report new --against old
	cat new/report.md
	grep -qF '| caps, memnet, 25: fed_by_uncapped | not measured | 0.900 (0.900 to 0.900) | – |' new/report.md
	grep -qF '| caps, guest, 25: fed_by_uncapped | 0.900 | 0.900 (0.900 to 0.900) | – (1 round(s)) |' new/report.md
	grep -qF -e '- They differ in accelerator: tcg now, kvm then.' new/report.md
	sed -i 's/3/2/' old/versions.tsv
	run -1 "$bench" --report new --against old
	[[ $output == *"old has 2 round(s), which have no spread"* ]]
}

@test "a folder with a quote in its name, and no energy, still make a report" {
	mkdir -p "it's/raw" bin
	printf 'rounds\t1\n' >"it's/versions.tsv"
	printf '# epoch 100.000\nseconds\tstarted\tplaying\tbytes\tstalls\tfailures\n1.000\t9\t9\t5000000\t0\t0\n2.000\t9\t9\t5000000\t0\t0\n' >"it's/raw/compress.guest.clients.1.series.tsv"
	printf '# epoch 100.000\n# source: none: nothing\nseconds\tsource\tgaps\tjoules\twatts\n1.000\tnone\t0\tnan\tnan\n' >"it's/raw/compress.guest.clients.1.power.tsv"
	printf 'settled\t100\njob_began\t101\njob_ended\t102\n' >"it's/raw/compress.guest.clients.1.phases.tsv"
	printf 'compress\tguest\tclients\t1\tjob_s\t1\ncompress\tguest\tclients\t1\thybrid_source\tnone\n' >"it's/runs.tsv"
	run -0 "$bench" --report "it's"
	[[ $output != *"cannot draw"* ]]
	grep -q '^Source: none' "it's/report.md"
	! command -v gnuplot || grep -q '</svg>' "it's/figures/completion-compress.svg"
	[ ! -e "it's/figures/energy-compress.svg" ]
}

@test "clients without a byte are told of as a guest that is stuck; any other failure ends the run" {
	mkdir -p out/raw
	printf 'clients\tseconds\tbytes\n9\t1\t0\n' >out/raw/s.guest.c.1.sums.tsv
	cp out/raw/s.guest.c.1.sums.tsv out/raw/s.memnet.c.1.sums.tsv
	for way in guest memnet; do
		# shellcheck disable=SC2016 # for the inner shell
		run bash -c 'source "$1/stage.sh"; source "$1/servers.sh"; source "$1/run.sh"; out=$PWD/out work=$PWD scenario=s way=$2 cap=c round=1 began_s=0
			stop_power() { :; }; guest() { :; }; guest_network_anew() { :; }; answers() { :; }; echo "nothing came" >clients.log
			(exit 1) & clients_pid=$!; stop_clients; echo went on' - "$lib" $way
		case $way in
		guest) [ "$status" = 0 ] && [[ $output == *"went on" ]] && grep -q "stuck	1" out/runs.tsv ;;
		*) [ "$status" = 1 ] && [[ $output == *"the clients failed: nothing came"*"a report of what was measured before: memnet-bench --report '$PWD/out'" ]] ;;
		esac
	done
}

@test "the table says for which jobs a goal is reached, and the report why one is not" {
	mkdir -p r/raw
	printf 'rounds\t3\nclients\t100\naccelerator\tkvm\nseconds\t9\n' >r/versions.tsv
	for kind in compress files; do
		for round in 1 2 3; do
			echo "$kind guest clients $round hybrid_fed 99.6"
			echo "$kind guest clients $round job_s 10"
			echo "$kind memnet clients $round hybrid_fed 100"
			echo "$kind memnet clients $round job_s $((4 + 3 * round))"
			echo "$kind memnet alone $round job_s 20"
			echo "$kind 9p clients $round stream_fed 60"
			echo "$kind 9p clients $round hybrid_fed 100.2"
		done
	done | tsv r/runs.tsv
	run -0 "$bench" --report r
	cat r/report.md
	grep -qF '| | the paper | compression | a set of files | goal | reached |' r/report.md
	grep -qF 'MemNet against nginx in the guest | +70 % | 0 % (0 to 0) | 0 % (0 to 0) | at least +70 % | **no** |' r/report.md
	grep -qF 'MemNet with clients against MemNet without | similar | -50 % (-65 to -35) |' r/report.md
	grep -qF 'time of the job, MemNet against nginx in the guest | -27 % | 0 % (-30 to +30) | 0 % (-30 to +30) | at most -27 % | **no** |' r/report.md
	grep -qF -e '- In each round the job (compress, memnet) was quicker with clients than without, by 50 %' r/report.md
	grep -qF 'compress, memnet: job_by_guest (0.70 to 1.30)' r/report.md
	grep -qF -e '- Beside the job (compress) nginx in the guest still fed 100 of 100 clients' r/report.md
	grep -qF -e '- Before the job (files) nginx on the host fed only 60 of 100 clients' r/report.md
}

@test "files are compared by what clients get of them, wherever each way puts them" {
	cat >files.sh <<-'END'
		source "$1/stage.sh"; source "$1/servers.sh"; source "$1/run.sh"; source "$1/delivery.sh"
		work=$PWD scenario=files files=2 sets=1
		guest() { [[ $1 != *find* ]] || printf "out/1/%s\n" $names; }
		in_clients() { for url; do case $url in http*) echo "${url##*/} ${broken:-}" ;; esac; done; }
		way=guest names="b.zst a.zst" check_files
		way=memnet names="in/a.zst in/b.zst" check_files && echo same
		way=memnet names="in/a.zst in/b.zst" broken=yes check_files
	END
	run -1 bash files.sh "$lib"
	[ "${lines[0]}" = same ]
	[ "${lines[1]}" = "memnet-bench: what memnet serves is not what the others do (files)" ]
}

@test "a cap is written as either version of cgroup wants it" {
	mkdir v1 v2
	touch v2/cpu.max
	for version in v1 v2; do
		# shellcheck disable=SC2016 # for the inner shell
		run -0 bash -c 'source "$1/delivery.sh"; cgroup=$2; cap_vm 25; cat "$2"/cpu.*; cap_vm ""; cat "$2"/cpu.*' - "$lib" $version
		case $version in
		v1) [ "$output" = $'100000\n25000\n100000\n-1' ] ;;
		v2) [ "$output" = $'25000 100000\nmax 100000' ] ;;
		esac
	done
	# A cap that cannot be set is no cap.
	# shellcheck disable=SC2016 # for the inner shell
	run -1 bash -c 'source "$1/stage.sh"; source "$1/delivery.sh"; cgroup=$PWD/none; cap_vm 25' - "$lib"
	[[ $output == *"memnet-bench: cannot cap QEMU at 25 % of a CPU"* ]]
}

@test "QEMU starts inside the cgroup, whose count is what the rest of it used" {
	mkdir v1 v2 none
	echo 7500000000 >v1/cpuacct.usage
	printf 'usage_usec 7500000\nuser_usec 1\n' >v2/cpu.stat
	printf 'nr_periods 0\n' | tee none/cpu.stat >v1/cpu.stat
	for version in v1 v2 none; do
		# shellcheck disable=SC2016 # for the inner shell
		run -0 bash -c 'source "$1/guest.sh"; source "$1/run.sh"; vm_cpu() { echo 5 2; }; cgroup=$2; qemu_cpu
			enter_cgroup; "${VM_ENTER[@]}" bash -c "echo \$\$"; cat "$2/cgroup.procs"' - "$lib" $version
		case $version in
		none) [ "${lines[0]}" = "5 2" ] ;;
		*) [ "${lines[0]}" = "5 2.5" ] ;;
		esac
		[ "${lines[1]}" = "${lines[2]}" ]
	done
}

@test "the vCPU has its CPU, and QEMU's other threads may run anywhere" {
	[ "$(nproc)" -ge 2 ] || skip "one CPU"
	# shellcheck disable=SC2016 # for the inner shell
	run -0 bash -c 'source "$1/stage.sh"; source "$1/guest.sh"; stage_cpus; vm_pid() { echo $$; }
		printf "CPU 0/KVM" >/proc/$$/comm; pin_vm; grep Cpus_allowed_list /proc/$$/status; echo "$vm_cpu_id"
		printf "qemu" >/proc/$$/comm; pin_vm; taskset -cp $$' - "$lib"
	[ "${lines[0]##*	}" = "${lines[1]}" ]
	[ "${lines[2]##*: }" = "$(taskset -cp $$ | sed 's/.*: //')" ]
}

# As it is installed, and with --kernel: the folder of modules is a link, and in it there is one to the kernel's source.
@test "a kernel of the host is laid out so that its modules are found" {
	mkdir -p boot modules/1.2-x/kernel/fs source
	touch boot/vmlinuz-1.2-x modules/1.2-x/kernel/fs/net-9p.ko.xz source/other.ko
	printf 'what modules hold' >modules/1.2-x/kernel/fs/some.ko
	ln -s "$PWD/source" modules/1.2-x/build
	# shellcheck disable=SC2016 # for the inner shell
	run -0 bash -c 'source "$1/stage.sh"; source "$1/guest.sh"; source "$1/delivery.sh"; source "$2/tests/guest/vm.sh"
		work=$PWD host_modules=$PWD/modules kernel=$PWD/boot/vmlinuz-1.2-x; guest_of_host
		vm_module_file net_9p; echo; vm_module_file other; some_input; echo; ls "$MEMNET_GUEST"/linux/boot' - "$lib" "$MEMNET_SRC"
	[[ ${lines[0]} == */1.2-x/kernel/fs/net-9p.ko.xz ]]
	[ "${lines[1]}" = "what modules hold" ]
	[ "${lines[2]}" = vmlinuz-1.2-x ]
}

@test "a guest that cannot be set up is told, with virtiofs too" {
	# shellcheck disable=SC2016 # for the inner shell
	run -1 bash -c 'source "$1/guest.sh"; virtiofsd=there; guest() { [[ $1 == *virtiofs* ]]; }; guest_setup' - "$lib"
}

# --- runs ------------------------------------------------------------------------------------------------------------

needs_root() {
	[ "$(id -u)" = 0 ] || skip "not root"
	[ "$(nproc)" -ge 2 ] || skip "one CPU"
	[ -c /dev/net/tun ] || skip "no /dev/net/tun"
	command -v nginx >/dev/null || skip "no nginx"
}

left_processes() {
	grep -lszF "BENCH_MARK=$BENCH_MARK.$BATS_TEST_NUMBER" /proc/[0-9]*/environ || true
}

# What outlives its process, and what must not be out here. Cgroups of runs that go on are others'.
left_outside() {
	local dir

	find /sys/fs/cgroup -maxdepth 2 -name 'memnet-bench.*' 2>/dev/null | while read -r dir; do
		[ -d "/proc/${dir##*.}" ] || echo "$dir"
	done
	grep ' memnet-bench ' /proc/self/mountinfo
	find /sys/class/net -name tap0 -o -name veth0
	find /run/bench /run/netns/clients 2>/dev/null
	true
}

# Without a moment's grace. What another left before may go meanwhile.
nothing_left() {
	[ -z "$(left_processes)" ]
	[ -z "$(comm -13 <(sort <<<"$before") <(left_outside | sort))" ]
}

start() {
	BENCH_MARK=$BENCH_MARK.$BATS_TEST_NUMBER "$bench" --smoke -o out "$@" >said 2>&1 3>&- &
	pid=$!
}

said() {
	local end=$((SECONDS + 300))

	until grep -qs "$1" said; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$pid"; then
			cat said
			return 1
		fi
		sleep 0.05
	done
}

@test "a small run measures every way, writes its report, and leaves nothing" {
	needs_root
	before=$(left_outside)
	start --only compress,files,caps,memory
	said 'booting'
	[ -n "$(left_processes)" ]	# the mark works
	wait "$pid" || { cat said; false; }
	nothing_left
	cat out/report.md
	for way in guest 9p memnet bare; do
		awk -F '\t' -v w="$way" '$2 == w && $3 == "clients" && $5 == "hybrid_fed" && $6 > 0 { found = 1 } END { exit !found }' out/runs.tsv
	done
	for words in "files guest clients hybrid_fed" "files memnet clients hybrid_fed" "memory static 1 jobs" "memory tune 1 memory_mb"; do
		awk -F '\t' -v want="$words" '$1 " " $2 " " $3 " " $5 == want && $6 > 0 { found = 1 } END { exit !found }' out/runs.tsv
	done
	grep -q '^cgroup	$' out/versions.tsv || grep -q '^| clients fed with the VM at 25 % of a CPU' out/report.md
	# Each way feeds clients, how many depends on what else the machine does; and every figure of energy says where it is from.
	awk -F '\t' '$5 == "stream_fed" && $6 < 5 { print; bad = 1 } END { exit bad }' out/runs.tsv
	[ "$(awk -F '\t' '$5 == "vcpu_s" && $6 > 0 { print $2 }' out/runs.tsv | sort -u | paste -sd ' ' | sed 's/bare //; s/ virtiofs//')" = "9p guest memnet" ]
	[ "$(awk -F '\t' '$5 == "hybrid_source"' out/runs.tsv | wc -l)" -ge 3 ]
	grep -q 'clients fed during the job, MemNet against nginx in the guest' out/report.md
	grep -qE '^Source: (rapl|perf|model|none) ' out/report.md
	if command -v gnuplot; then
		for name in throughput completion cdf power energy; do
			[ "$(head -c 4 "out/figures/$name-compress.png" | tail -c 3)" = PNG ]
			grep -q '</svg>' "out/figures/$name-compress.svg"
		done
	fi
	# Made anew from its data, it is the same.
	cp out/report.md first
	"$bench" --report out
	cmp first out/report.md
	# And it is not measured into again.
	run -1 "$bench" --smoke -o out
	[[ $output == *"has results already"* ]]
}

@test "^C at its terminal ends it with 130 and leaves nothing" {
	needs_root
	before=$(left_outside)
	mkfifo keys
	# A shell's background processes ignore SIGINT, and so would all they start.
	BENCH_MARK=$BENCH_MARK.$BATS_TEST_NUMBER env --default-signal=INT script -qefc "'$bench' --smoke -o out" said <keys >/dev/null 2>&1 3>&- &
	pid=$!
	exec {keys}>keys
	said 'MemNet, alone'
	printf '\003' >&"$keys"
	status=0
	wait "$pid" || status=$?
	exec {keys}>&-
	[ "$status" = 130 ]
	grep -q 'only .* is left behind' said
	nothing_left
	[ ! -e out/report.md ]
}

@test "ended by SIGTERM while it boots, it leaves nothing" {
	needs_root
	before=$(left_outside)
	start
	said 'booting'
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" = 143 ]
	nothing_left
}

@test "what the configuration says of energy is taken along, from below /run too" {
	needs_root
	# shellcheck disable=SC2016 # for the inner shell
	run -0 unshare --mount bash -c 'mount -t tmpfs none /run; printf "[vm a]\nqmp = x\n[energy]\nidle_watts = 7\n[vm b]\n" >/run/my.conf
		source "$1/stage.sh"; export MEMNET_CONF=/run/my.conf; stage_folder; cat "$MEMNET_CONF"' - "$lib"
	[ "$output" = $'[energy]\nidle_watts = 7' ]
}

@test "a cgroup is swept when its run is gone, and only then" {
	mkdir memnet-bench.$$ memnet-bench.4194305 memnet-bench.1
	# shellcheck disable=SC2016 # for the inner shell
	run -0 bash -c 'source "$1/stage.sh"; cgroup_sweep "$PWD"' - "$lib"
	[ -d memnet-bench.$$ ]
	[ -d memnet-bench.1 ]
	[ ! -e memnet-bench.4194305 ]
}

@test "who is not root is told so; a wrong word is usage" {
	if [ "$(id -u)" = 0 ]; then
		# With the right to pass through folders such as /root, where this tree may be.
		run -1 setpriv --reuid 65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search \
			"$bench" --smoke -o out
	else
		run -1 "$bench" --smoke -o out
	fi
	[[ $output == "memnet-bench: must be root"* ]]
	for words in --nonsense "--rounds 0" "--clients x" "--clients 5001" "--only nothing" "-o"; do
		# shellcheck disable=SC2086 # words
		run -2 "$bench" $words
		[[ $output == "memnet-bench: "* ]]
	done
	run -2 "$bench" --only "transcode compress"
	[ "$output" = 'memnet-bench: bad list of scenarios "transcode compress" (see memnet-bench --help)' ]
	run -2 "$bench" --rounds 08 --only nothing	# eight
	[ "$output" = 'memnet-bench: no scenario "nothing" (see memnet-bench --help)' ]
	run -0 "$bench" --help
	run -1 "$bench" --report /nonexistent
}

@test "installed, it finds its own" {
	make -s -C "$MEMNET_SRC" install DESTDIR="$PWD/dest" PREFIX=/usr >/dev/null 2>&1 3>&-
	dest/usr/bin/memnet-bench --help
	for file in libexec/memnet/client_bench libexec/memnet/power_bench share/memnet/bench/vm.sh share/memnet/bench/lib/run.sh \
		share/memnet/bench/plots/cdf.gp share/man/man8/memnet-bench.8; do
		[ -s "dest/usr/$file" ]
	done
	[ "$(id -u)" != 0 ] || run ! env -u MEMNET -u MEMNET_GUEST dest/usr/bin/memnet-bench --smoke --kernel /nonexistent -o out
	[[ $output == *"no kernel /nonexistent"* ]]
}
