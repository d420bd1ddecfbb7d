# Memory of the space at each arrival rate: rate, then median, least and most of static size, tuned size, use.
set key outside top center horizontal
set xrange [0:*]
set xlabel "jobs a second"
set ylabel "MB, on average over time"
plot data using 1:2 with linespoints lt 1 pt 7 title "static: what the highest rate asks for", \
     data using 1:5:6:7 with yerrorlines lt 4 pt 7 title "memnet tune", \
     data using 1:8 with linespoints lt 3 pt 5 title "in use"
