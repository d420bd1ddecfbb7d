#include "control/tuner_host.h"

#include <string.h>

#include "control/tuner.h"

static void find_vm(struct tuner *t, size_t i)
{
	const struct tuner_wish *w = &t->config->space[i];
	size_t k = 0;

	while (k < t->nvms && strcmp(t->vm[k].name, w->name.vm) != 0)
		k++;
	t->space[i].vm = k;
	if (k < t->nvms)
		return;
	t->vm[t->nvms].name = w->name.vm;
	vcpus_init(&t->vm[t->nvms].vcpus, t->loop, w->monitor);
	power_vm_init(&t->vm[t->nvms].power);
	t->vm[t->nvms].since_ns = t->loop->now_ns;
	t->nvms++;
}

void tuner_host_open(struct tuner *t)
{
	task_times_open(&t->times);
	uplink_open(&t->uplink, t->config->uplink);
	host_memory_init(&t->memory, "/proc");
	for (size_t i = 0; i < t->config->nstreams; i++)
		connections_open(&t->connections[i]);
	for (size_t i = 0; i < t->config->nspaces; i++)
		find_vm(t, i);
}

/* What the spaces may still take. */
static uint64_t promised(const struct tuner *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->config->nspaces; i++)
		sum += t->facts[i].size_bytes - t->facts[i].used_bytes;
	return sum;
}

void tuner_host_look(struct tuner *t, int64_t now_ns)
{
	host_memory_look(&t->memory, promised(t));
	uplink_look(&t->uplink, now_ns);
	for (size_t i = 0; i < t->config->nstreams; i++)
		connections_look(&t->connections[i], t->stream[i].port);
	for (size_t i = 0; i < t->nvms; i++)
		vcpus_look(&t->vm[i].vcpus, &t->times, now_ns);
	for (size_t i = 0; i < t->config->nspaces; i++)
		t->space[i].hints.cpu_busy = t->vm[t->space[i].vm].vcpus.busy;
}

static uint64_t believed(const struct control_order *order, uint64_t records)
{
	for (int k = RECORD_OK + 1; k < RECORD_NVERDICTS; k++)
		records -= order->rejected[k] < records ? order->rejected[k] : records;
	return records;
}

void tuner_host_count(struct tuner *t)
{
	power_look(&t->power);
	for (size_t i = 0; i < t->nvms; i++) {
		struct tuner_vm *vm = &t->vm[i];

		power_vm_look(&vm->power, &t->power, vm->vcpus.count ? vm->vcpus.tid[0] : 0);
		vm->jobs = vm->delivered_bytes = 0;
	}
	for (size_t i = 0; i < t->config->nspaces; i++) {
		t->vm[t->space[i].vm].jobs += believed(&t->order[i], t->space[i].records);
		t->vm[t->space[i].vm].delivered_bytes += t->space[i].out_total;
	}
}

static void inherit_vm(struct tuner_vm *vm, struct tuner *from)
{
	for (size_t j = 0; j < from->nvms; j++) {
		struct tuner_vm *old = &from->vm[j];

		if (strcmp(old->name, vm->name) != 0)
			continue;
		vcpus_adopt(&vm->vcpus, &old->vcpus);
		vm->power = old->power;
		vm->since_ns = old->since_ns;
		power_vm_init(&old->power);
	}
}

void tuner_host_inherit(struct tuner *t, struct tuner *from)
{
	for (size_t i = 0; i < t->nvms; i++)
		inherit_vm(&t->vm[i], from);
}

void tuner_host_close(struct tuner *t)
{
	for (size_t i = 0; t->connections && i < t->config->nstreams; i++)
		connections_close(&t->connections[i]);
	for (size_t i = 0; t->vm && i < t->nvms; i++) {
		vcpus_close(&t->vm[i].vcpus);
		power_vm_close(&t->vm[i].power);
	}
	power_close(&t->power);
	uplink_close(&t->uplink);
	task_times_close(&t->times);
}
