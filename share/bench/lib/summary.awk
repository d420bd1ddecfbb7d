# The median and the spread of each figure in runs.tsv: awk -f summary.awk runs.tsv
# A line for each scenario, way, case and metric that are numbers: how many, median, least, most. "nan" is no number.
function median(list, n, value, i) {
	split(list, value, " ")
	for (i = 1; i <= n; i++) value[i] += 0
	sort(value, n)
	return n % 2 ? value[(n + 1) / 2] : (value[n / 2] + value[n / 2 + 1]) / 2
}

function sort(value, n, i, j, v) {
	for (i = 2; i <= n; i++) {
		v = value[i]
		for (j = i - 1; j > 0 && value[j] > v; j--) value[j + 1] = value[j]
		value[j + 1] = v
	}
}

BEGIN {
	FS = OFS = "\t"
	print "scenario", "way", "case", "metric", "n", "median", "least", "most"
}

$6 !~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ { next }

{
	key = $1 OFS $2 OFS $3 OFS $5
	if (!(key in n)) order[++keys] = key
	list[key] = list[key] " " $6
	if (!n[key] || $6 + 0 < least[key]) least[key] = $6 + 0
	if (!n[key] || $6 + 0 > most[key]) most[key] = $6 + 0
	n[key]++
}

END {
	for (i = 1; i <= keys; i++) {
		key = order[i]
		print key, n[key], median(list[key], n[key]), least[key], most[key]
	}
}
