# docs/sensitivity-wmbus.tsv, written by `make sensitivity`, as docs/sensitivity-wmbus.png.
set terminal pngcairo size 1200,800 font "sans,13"
set output folder."/sensitivity-wmbus.png"
data = folder."/sensitivity-wmbus.tsv"
set multiplot layout 2,3
set yrange [0:1]
set xrange [-16:0]
set ytics ("0 %%" 0, "50 %%" 0.5, "90 %%" 0.9, "100 %%" 1)
set grid
set xlabel "SNR in 2.36 MHz, dB"
set key left center Left reverse samplen 1.5 font "sans,9"
array names = ["T1, 50 bytes", "T1, 250 bytes", "C1, format A, 50 bytes", "C1, format B, 50 bytes", "S1, 50 bytes", "C2 downlink, 50 bytes"]
# Curves 0 to 5, limits from 6 on.
do for [i=0:5] {
  set title names[i+1]
  if (i > 0) { unset key }
  plot data index i+6 using 1:2 with lines dt 2 lc rgb "#cc8800" title "limit: chip by chip", \
       data index i+6 using 1:3 with lines dt 4 lc rgb "#448844" title "limit: words, 3 corrected", \
       data index i using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb "#2255aa" title "metertap"
}
unset multiplot
