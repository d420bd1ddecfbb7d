# Plots what memnet tune decided for one space (the paper's Figure 8, from one's own machine).
#
#   memnet tune -H … >log
#   gnuplot -e "log='log'; space='web1/out'; out='tune.svg'" tune.gp
#
# Columns: memnet-tune(1), -H.
if (!exists("log")) log = "log"
if (!exists("space")) space = system("cut -f 2 '".log."' | head -n 1")
if (!exists("out")) out = "tune.svg"

set terminal svg size 900,800 dynamic background "white"
set output out
set datafile separator "\t"
only = "< awk -F '\\t' -v s='".space."' '$2 == s' '".log."'"
start = real(system("awk -F '\\t' -v s='".space."' '$2 == s { print $1; exit }' '".log."'"))
MB = 1048576.0

set multiplot layout 3,1 title space
set grid
set key above horizontal
set lmargin 9
set rmargin 3
set offsets 0, 0, graph 0.08, 0 # no line on the frame
set xlabel ""

set ylabel "MB"
plot only using ($1-start):($5/MB) with steps lw 2 title "size", \
     only using ($1-start):($6/MB) with lines title "used", \
     only using ($1-start):($7/MB) with points pt 7 ps 0.3 title "peak", \
     only using ($1-start):($10/MB) with lines dt 2 title "99 % by the model"

set xrange [GPVAL_X_MIN:GPVAL_X_MAX] # as the first
set ylabel "s"
plot only using ($1-start):14 with lines lw 2 title "95th percentile of the response", \
     only using ($1-start):15 with lines dt 2 title "objective"

set ylabel "MB/s, resizes"
set xlabel "seconds"
plot only using ($1-start):($11/MB) with lines title "written", \
     only using ($1-start):($12/MB) with lines title "delivered", \
     only using ($1-start):($4 != $5 ? ($5-$4)/MB : 1/0) with impulses lw 2 title "resize, MB"
unset multiplot
