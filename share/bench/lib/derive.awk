# What is compared within one round, as more lines for runs.tsv: awk -f derive.awk runs.tsv
#
#   fed_by_guest, fed_by_9p       clients that the way fed during the job, for each that the other one fed
#   fed_by_bare                   the same against job and server both on the host, without a VM
#   job_by_alone                  how long the job took, for each second that it takes with no clients
#   vcpu_by_alone                 the same of the CPU time of the vCPU, which other programs cannot add to by much
#   job_by_guest                  the same against the way with its server in the guest
#   energy_by_guest               power for each client, likewise; by machine, clients included
#   own_energy_by_guest           the same without what the clients used, by their CPU time
#   fed_by_stream                 clients fed during the job, for each that was fed before it
#   stream_power_by_bare, hybrid_power_by_bare, alone_power_by_bare
#                                 power while there are only clients, clients and job, only the job, against the same
#                                 on the host without a VM
#   fed_by_uncapped               clients fed under the cap, for each without (at 100 %)

BEGIN { FS = OFS = "\t" }

{
	v[$1, $2, $3, $4, $5] = $6
	if (!(($1, $2, $3, $4) in seen)) {
		seen[$1, $2, $3, $4]
		run[++runs] = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
	}
}

function put(metric, a, b) {
	if (a != "" && b + 0 > 0) print scenario, way, kase, round, metric, sprintf("%.4f", a / b)
}

# The way whose job alone is this way's.
function alone_of(w) {
	return w == "memnet" || w == "bare" ? w : "guest"
}

function of(w, k, metric) {
	return v[scenario, w, k, round, metric]
}

END {
	for (i = 1; i <= runs; i++) {
		split(run[i], part, SUBSEP)
		scenario = part[1]; way = part[2]; kase = part[3]; round = part[4]
		if (kase == "clients") {
			put("fed_by_guest", of(way, kase, "hybrid_fed"), of("guest", kase, "hybrid_fed"))
			put("fed_by_9p", of(way, kase, "hybrid_fed"), of("9p", kase, "hybrid_fed"))
			put("fed_by_bare", of(way, kase, "hybrid_fed"), of("bare", kase, "hybrid_fed"))
			put("job_by_alone", of(way, kase, "job_s"), of(alone_of(way), "alone", "job_s"))
			if (way != "bare") put("vcpu_by_alone", of(way, kase, "vcpu_s"), of(alone_of(way), "alone", "vcpu_s"))
			put("job_by_guest", of(way, kase, "job_s"), of("guest", kase, "job_s"))
			put("energy_by_guest", of(way, kase, "hybrid_watts_per_client"), of("guest", kase, "hybrid_watts_per_client"))
			put("own_energy_by_guest", of(way, kase, "hybrid_own_watts_per_client"), of("guest", kase, "hybrid_own_watts_per_client"))
			put("fed_by_stream", of(way, kase, "hybrid_fed"), of(way, kase, "stream_fed"))
		}
		if (kase == "clients" || kase == "alone")
			for (p = split(kase == "alone" ? "alone" : "stream hybrid", phase, " "); p > 0 && way != "bare"; p--)
				put(phase[p] "_power_by_bare", of(way, kase, phase[p] "_watts"), of("bare", kase, phase[p] "_watts"))
		if (scenario == "caps")
			put("fed_by_uncapped", of(way, kase, "hybrid_fed"), of(way, "100", "hybrid_fed"))
		if (scenario == "capacity") {
			put("fed_by_guest", of(way, kase, "fed"), of("guest", kase, "fed"))
			put("fed_by_9p", of(way, kase, "fed"), of("9p", kase, "fed"))
		}
		if (scenario == "memory" && way == "tune")
			put("memory_by_static", of(way, kase, "memory_mb"), of("static", kase, "memory_mb"))
	}
}
