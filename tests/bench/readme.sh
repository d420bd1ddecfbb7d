#!/bin/sh
# readme.sh DIR: puts the table of memnet-bench's results in DIR into README.md, between its two marks, and the plot
# beside it, tests/bench/throughput.svg.
set -eu
results=$(readlink -f "${1:?usage: readme.sh DIR}")
cd "$(dirname "$0")/../.."
plot=throughput-transcode
[ -s "$results/figures/$plot.svg" ] || plot=throughput-compress
cp "$results/figures/$plot.svg" tests/bench/throughput.svg

{
	sed '/<!-- memnet-bench: begin -->/q' README.md
	echo
	# What it ran on, and the table with its cautions: the two first parts of the report.
	sed -n '3,/^## Transcoding/{/^## /!p}' "$results/report.md" | cat -s
	echo '![Throughput over time](tests/bench/throughput.svg)'
	echo
	sed -n '/<!-- memnet-bench: end -->/,$p' README.md
} >README.md.new
mv README.md.new README.md
