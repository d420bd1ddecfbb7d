# How many clients could be fed at most, of a series of client_bench with more and more of them: the most that had begun
# GRACE seconds before a moment at which 95 % of those played.
BEGIN { FS = "\t"; GRACE = 2 }
/^#/ || $1 == "seconds" { next }
{
	n++; time[n] = $1; started[n] = $2
	while (time[first + 1] <= $1 - GRACE) first++
	due = first ? started[first] : 0
	if ($3 >= 0.95 * due && due > best) best = due
}
END { print best + 0 }
