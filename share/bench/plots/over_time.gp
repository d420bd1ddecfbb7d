# Something of each way over time, and above it when each one's job ran.
set key outside top center horizontal
set xlabel "seconds"
set ylabel label
stats data using 2 nooutput name "B"
step = B_max * 0.035
set yrange [0:B_max * 1.05 + step * (blocks + 1)]
set label 1 "job" at graph 0.005, first B_max * 1.05 + step * (blocks + 1) / 2 font ",9"
plot for [i = 0:blocks - 1] data index i using 1:2 with lines lt i + 1 title columnheader(1), \
     for [i = 1:blocks] jobs every ::(i - 1)::(i - 1) using 2:(B_max * 1.05 + step * (blocks + 1 - i)):3:(0) with vectors nohead lt i lw 5 notitle
