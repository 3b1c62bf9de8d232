# The bytes of an epoch over the number of workers (docs/simulation.md): build/curve.txt to docs/curve.svg.
set terminal svg size 640,400
set output "docs/curve.svg"
set logscale xy
set key left top
set xlabel "workers"
set ylabel "bytes of one epoch"
plot "build/curve.txt" using 1:3 every ::1 with linespoints title "sent, multicast once", \
     1500 * x with lines dashtype 2 title "linear"
