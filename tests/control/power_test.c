/* What VMs use of the machine's energy, on trees written by hand: by their QEMU's threads,
 * whichever process that is, and never a figure where none is known. */
#include "control/power.h"

#include <errno.h>

#include "tests/energy/machine.h"
#include "tests/tap.h"

static const struct tree_file machine[] = {
	MACHINE_FILES,
	{"proc/43/status", "Name:\tCPU 0/KVM\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\n"},
	{"proc/53/status", "Name:\tCPU 0/KVM\nTgid:\t52\n"},
	{NULL, NULL},
};

static void vms(int scratch)
{
	struct meter_options o = machine_meter(scratch, machine);
	struct mn_error e = MN_ERROR_INIT;
	struct power p;
	struct power_vm vm;

	tree_cpu(machine_proc, 42, 100, 10);
	is_int(power_open(&p, &o, &e), 0, "a machine with RAPL");
	power_vm_init(&vm);
	ok(isnan(vm.total.joules) && vm.total.source == ENERGY_NONE, "nothing known");
	power_vm_look(&vm, &p, 0);
	ok(isnan(vm.total.joules) && vm.total.source == ENERGY_RAPL, "no QEMU, no figure");
	power_vm_look(&vm, &p, 43);
	is_int(vm.pid, 42, "a thread's process");
	machine_pass("21000000\n");
	tree_cpu(machine_proc, 42, 102, 11);
	power_look(&p);
	power_vm_look(&vm, &p, 43);
	ok(near(p.machine.joules, 20), "20 J of the machine's");
	ok(near(vm.total.joules, 10) && near(vm.period.joules, 10), "half of them the VM's");
	ok(vm.total.estimated && vm.total.source == ENERGY_RAPL && !vm.total.gaps, "estimated");
	machine_pass("31000000\n");
	tree_cpu(machine_proc, 42, 104, 12);
	power_look(&p);
	power_vm_look(&vm, &p, 43);
	ok(near(vm.total.joules, 15) && near(vm.period.joules, 5), "5 J in this period");

	/* The VM is started anew: another process, whose share comes on top. */
	tree_cpu(machine_proc, 52, 104, 1);
	tree_set(machine_proc, "42/stat", "");
	power_vm_look(&vm, &p, 53);
	is_int(vm.pid, 52, "another QEMU");
	ok(near(vm.total.joules, 15), "what the one before used stays");
	machine_pass("41000000\n");
	tree_cpu(machine_proc, 52, 106, 2);
	power_look(&p);
	power_vm_look(&vm, &p, 53);
	ok(near(vm.total.joules, 20) && near(vm.period.joules, 5), "and goes on");
	ok(vm.total.gaps > 0, "with a gap between them");
	power_vm_close(&vm);
	power_close(&p);
}

static void sources(int scratch)
{
	struct meter_options o = machine_meter(scratch, machine);
	struct mn_error e = MN_ERROR_INIT;
	struct power p;
	struct power_vm vm;

	o.sources = 1U << ENERGY_PERF;
	is_int(power_open(&p, &o, &e), -ENODEV, "one that is asked for and not there is an error");
	ok(strstr(e.text, "energy: no source: perf") != NULL, "which says so: %s", e.text);
	o.sources = 1U << ENERGY_NONE;
	is_int(power_open(&p, &o, &e), 0, "none");
	power_vm_init(&vm);
	power_look(&p);
	power_vm_look(&vm, &p, 43);
	power_vm_look(&vm, &p, 43);
	ok(isnan(vm.total.joules) && vm.total.source == ENERGY_NONE, "is no figure, not 0");
	power_vm_close(&vm);
	power_close(&p);
	o.sources = 0;
	is_int(power_open(&p, &o, &e), 0, "nothing asked for");
	power_look(&p);
	ok(isnan(p.machine.joules), "nothing told");
	power_close(&p);
}

int main(void)
{
	int scratch = scratch_open();

	clock_use(tree_clock);
	vms(scratch);
	sources(scratch);
	close(scratch);
	return done_testing();
}
