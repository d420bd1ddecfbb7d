#include "control/power.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"

int power_open(struct power *p, const struct meter_options *options, struct mn_error *e)
{
	char what[256];
	int err;

	*p = (struct power){.machine = ENERGY_UNKNOWN, .proc = options->proc};
	if (!options->sources)
		return 0;
	err = meter_open(&p->meter, options, e);
	if (err)
		return err;
	log_debug("energy: %s: %s", energy_source_name(meter_source(p->meter)),
		  meter_describe(p->meter, what, sizeof(what)));
	if (*meter_note(p->meter))
		log_debug("energy: %s", meter_note(p->meter));
	p->machine = meter_read(p->meter);
	return 0;
}

void power_close(struct power *p)
{
	meter_close(p->meter);
	p->meter = NULL;
}

void power_look(struct power *p)
{
	if (p->meter)
		p->machine = meter_read(p->meter);
}

/* ---- a VM ---- */

/* The process that a thread is of; 0: it is gone. */
static pid_t process_of(const char *proc, int tid)
{
	char path[512], text[4096];
	const char *line;

	if (snprintf(path, sizeof(path), "%s/%d/status", proc, tid) >= (int)sizeof(path) ||
	    io_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nTgid:");
	return line ? (pid_t)strtol(line + 6, NULL, 10) : 0;
}

void power_vm_init(struct power_vm *vm)
{
	*vm = (struct power_vm){
		.consumer = {.process = -1, .stat = -1},
		.ended = ENERGY_UNKNOWN,
		.total = ENERGY_UNKNOWN,
		.period = ENERGY_UNKNOWN,
	};
}

void power_vm_close(struct power_vm *vm)
{
	consumer_close(&vm->consumer);
	vm->pid = 0;
}

/* What was used before, and now; NAN counts for nothing unless both are. */
static struct energy plus(struct energy before, struct energy now)
{
	if (isnan(before.joules))
		return now;
	if (!isnan(now.joules))
		before.joules += now.joules;
	before.gaps += now.gaps;
	return before;
}

static void follow(struct power_vm *vm, const struct power *p, int tid)
{
	pid_t pid = tid ? process_of(p->proc, tid) : 0;

	if (vm->pid || !pid)
		return;
	if (consumer_open(&vm->consumer, p->proc, pid, p->machine) == 0)
		vm->pid = pid;
	else
		consumer_close(&vm->consumer);
}

static void take(struct power_vm *vm, const struct power *p)
{
	struct energy used;
	int err = consumer_read(&vm->consumer, p->machine, &used);

	vm->total = plus(vm->ended, used);
	if (!err)
		return;
	vm->ended = vm->total; /* this QEMU is no more */
	power_vm_close(vm);
}

void power_vm_look(struct power_vm *vm, const struct power *p, int tid)
{
	struct energy before = vm->total;

	vm->total.source = p->machine.source;
	vm->total.estimated = true;
	if (vm->pid)
		take(vm, p);
	vm->period = vm->total;
	if (!isnan(before.joules))
		vm->period = energy_between(before, vm->total);
	if (p->meter)
		follow(vm, p, tid);
}
