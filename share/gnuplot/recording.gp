# Plots a recording of memnet tune --record for its space number i, from 0.
#
#   gnuplot -e "rec='day'; i=0; out='day.svg'" recording.gp
if (!exists("rec")) rec = "recording"
if (!exists("i")) i = 0
if (!exists("out")) out = "recording.svg"

set terminal svg size 900,600 dynamic background "white"
set output out
# Time in s, size, use, full; and of each record its end and its response.
facts = sprintf("< awk '$1 == \"t\" { t = $2 / 1e9; if (!b) b = t } $1 == \"f\" && $2 == %d { print t - b, $3, $4, $14 }' '%s'", i, rec)
jobs = sprintf("< awk '$1 == \"t\" { t = $2 / 1e9; if (!b) b = t } $1 == \"r\" && $2 == %d { print t - b - $5 / 1e9, ($3 - $5) / 1e9 }' '%s'", i, rec)
MB = 1048576.0

set multiplot layout 2,1
set grid
set key above horizontal
set lmargin 9
set rmargin 3
set offsets 0, 0, graph 0.08, 0 # no line on the frame
set ylabel "MB"
plot facts using 1:($2/MB) with steps lw 2 title "size", \
     facts using 1:($3/MB) with steps title "used", \
     facts using 1:($4 > 0 ? $2/MB : 1/0) with points pt 7 ps 0.5 title "full"
set xrange [GPVAL_X_MIN:GPVAL_X_MAX] # as the first
set ylabel "s"
set xlabel "seconds"
plot jobs using 1:2 with points pt 7 ps 0.4 title "response of each job"
unset multiplot
