# Throughput of each interval of a series of client_bench that lies between two times, in Mbit/s:
# awk -v from=EPOCH -v to=EPOCH -f samples.awk SERIES
BEGIN { FS = "\t" }
FNR == 1 { split($0, word, " "); epoch = previous = word[3]; next }
$1 == "seconds" { next }
{
	time = epoch + $1
	if (previous >= from && time <= to && time > previous) printf "%.3f\n", $4 * 8 / 1e6 / (time - previous)
	previous = time
}
