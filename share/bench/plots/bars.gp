# A bar for each row: title, median, least, most.
set style fill solid 0.85
set boxwidth 0.6
set ylabel label
set xtics font ",10"
set key off
set bmargin 4
plot data using 0:2:(strstrt(strcol(1), "MemNet") ? 0x1b5e3b : 0x4878a8):xtic(1) with boxes lc rgb variable, \
     data using 0:2:3:4 with yerrorbars lt 5 pt 0, \
     data using 0:4:(sprintf("%.3g", $2)) with labels offset 0, 0.8
