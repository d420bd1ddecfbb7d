# What all plots have: out, format (png or svg) and data are set by the caller.
if (format eq "png") set terminal pngcairo size 900,520 font "Sans,11" background "white"
if (format eq "svg") set terminal svg size 900,520 dynamic font "Sans,13" background "white"
set output out
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set yrange [0:*]
# Colours that differ in lightness, too.
set linetype 1 lc rgb "#c44e2f" lw 2
set linetype 2 lc rgb "#e0a030" lw 2
set linetype 3 lc rgb "#4878a8" lw 2
set linetype 4 lc rgb "#1b5e3b" lw 3
set linetype 5 lc rgb "#555555" lw 2
set linetype 6 lc rgb "#1b5e3b" lw 3
set linetype 7 lc rgb "#7a9e4e" lw 3 dt 2
