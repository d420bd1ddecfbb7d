# The part of the time in which throughput is not above so much.
stats data using 1 nooutput name "A"
set key outside right top
set xlabel "Mbit/s to all clients"
set ylabel "part of the time"
set yrange [0:1]
set xrange [0:A_max * 1.05]
plot for [i = 0:blocks - 1] data index i using 1:2 with steps lt int(word(types, i + 1)) title columnheader(1)
