# What clients got, and the machine used, between two times: awk -v from=EPOCH -v to=EPOCH -v clients=N -f phase.awk
# SERIES STALLS POWER, files of client_bench and power_bench in any order; the last two may be left out.
#
# Prints "name value" for each: mbit, playing (clients that play, on average), fed (clients of 2 Mbit/s that so many
# bytes feed, of those there are: a client that was hungry takes more for a while), unstalled (clients without a stall), bytes, seconds; and joules, watts…, if there is a file of power, with
# gaps where there were: times that the source could not be read, so that the joules are too few.

function overlap(a, b) {
	return (b < to ? b : to) - (a > from ? a : from)
}

BEGIN { FS = "\t" }

FNR == 1 { epoch = 0; kind = ""; previous = 0; previous_joules = 0; previous_gaps = 0 }
/^# epoch / { split($0, word, " "); epoch = word[3]; next }
/^# source: / { split($0, word, /[ :]+/); source = word[3]; next }
/^#/ { next }

# Each file tells by its heading what it is.
!kind {
	kind = $2 == "started" ? "series" : $1 == "client" ? "stalls" : "power"
	previous = epoch
	next
}

# An interval counts by the part of it that lies in the phase.
kind == "series" {
	time = epoch + $1
	part = overlap(previous, time)
	if (part > 0 && time > previous) {
		bytes += $4 * part / (time - previous)
		playing += $3 * part
		seconds += part
	}
	previous = time
}

kind == "stalls" && overlap(epoch + $2, epoch + $2 + $3) > 0 && !($1 in stalled) { stalled[$1]; stalls++ }

kind == "power" && $4 !~ /^[0-9.]+$/ { unknown = 1 }

kind == "power" {
	time = epoch + $1
	part = overlap(previous, time)
	if (part > 0 && time > previous) {
		joules += ($4 - previous_joules) * part / (time - previous)
		powered += part
		gaps += $3 - previous_gaps
		# What the clients themselves used, if they were watched: the fourth process.
		mine = NF >= 9 ? $9 - previous_mine : 0
		clients_joules += mine * part / (time - previous)
	}
	previous = time
	previous_gaps = $3
	previous_joules = $4
	previous_mine = NF >= 9 ? $9 : 0
}

END {
	if (seconds > 0) {
		mbit = bytes * 8 / 1e6 / seconds
		fed = clients > 0 && mbit / 2 > clients ? clients : mbit / 2
		print "seconds", sprintf("%.3f", seconds)
		print "bytes", sprintf("%.0f", bytes)
		print "mbit", sprintf("%.3f", mbit)
		print "fed", sprintf("%.2f", fed)
		print "playing", sprintf("%.2f", playing / seconds)
		print "unstalled", clients - stalls
	}
	if (powered > 0 && !unknown) {
		print "joules", sprintf("%.2f", joules)
		print "watts", sprintf("%.3f", joules / powered)
		print "clients_joules", sprintf("%.2f", clients_joules)
		if (gaps) print "gaps", gaps
		if (fed > 0) {
			print "watts_per_client", sprintf("%.5f", joules / powered / fed)
			print "joules_per_client", sprintf("%.4f", joules / fed)
			print "joules_per_gb", sprintf("%.3f", joules / (bytes / 1e9))
			print "own_watts_per_client", sprintf("%.5f", (joules - clients_joules) / powered / fed)
		}
	}
	if (source) print "source", source
}
