# docs/sensitivity.tsv, written by `make sensitivity`, as docs/sensitivity.png.
set terminal pngcairo size 1200,800 font "sans,13"
set output folder."/sensitivity.png"
data = folder."/sensitivity.tsv"
set multiplot layout 2,2
set yrange [0:1]
set xrange [-20:5]
set format y "%.0f %%"
set ytics ("0 %%" 0, "50 %%" 0.5, "90 %%" 0.9, "100 %%" 1)
set grid
set xlabel "SNR in 2.36 MHz, dB"
set key right bottom samplen 2 font "sans,10"
names = "SCM SCM+ IDM R900"
# Curves 0 to 3, limits 4 to 7, known meters from 8 on: SCM, SCM+, R900, the same by their dials, the first IDM, IDM of the same interval with an unknown
# and with a predicted time, and of the next one.
known = "8 9 18 10"
first = "11 12 15 13"
last = "11 12 17 13"
do for [i=0:3] {
  set title word(names, i+1)
  k = int(word(known, i+1))
  plot data index i+4 using 1:5 with lines dt 3 lc rgb "#aa3333" title "limit: wide-band squaring (rtlamr's method)", \
       data index i+4 using 1:4 with lines dt 2 lc rgb "#cc8800" title "limit: phase unknown", \
       data index i+4 using 1:3 with lines dt 2 lc rgb "#888888" title "limit: coherent", \
       data index i+4 using 1:2 with lines dt 4 lc rgb "#448844" title "limit: coherent, 3 corrected", \
       data index k using 1:3 with lines dt 4 lc rgb "#8844aa" title "limit: known meter", \
       for [j=int(word(first, i+1)):int(word(last, i+1)):2] data index j using 1:2 with linespoints pt (j==15 ? 4 : 8) ps 0.6 lc rgb "#8844aa" \
         title (j==15 ? "known, same interval" : j==17 ? "known, next interval, unknown time" : "known by its dial"), \
       data index k using 1:2 with linespoints pt 6 ps 0.7 lw 2 lc rgb "#8844aa" title "metertap, known meter", \
       data index i using 1:2 with linespoints pt 7 ps 0.7 lw 2 lc rgb "#2255aa" title "metertap"
}
unset multiplot
