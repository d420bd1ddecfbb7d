/* The line of a decision: the energy of a job, or that it is not known. */
#include "cmd/tune.h"

#include <math.h>

#include "tests/printed.h"
#include "tests/tap.h"

static const struct tuner_wish wish = {.name = {"web1", "out"}};
static const struct control_facts facts = {.size_bytes = 64 << 20};
static const struct control_order order = {.guest = CONTROL_GUEST_OK};

/* Whether the line has these words. */
static void line_has(const struct tuner_vm *vm, const char *words)
{
	const struct common people = {0};
	const struct tuner_decision d = {.wish = &wish, .facts = &facts, .order = &order, .vm = vm};
	const char *line;

	printed_begin();
	tune_print(&people, &d);
	line = printed_end();
	if (!ok(strstr(line, words) != NULL, "a line has %s", words))
		diag("%s", line);
}

int main(void)
{
	struct tuner_vm vm = {
		.power = {.period = {.joules = 1.25, .source = ENERGY_MODEL},
			  .total = {.joules = 12.4, .source = ENERGY_MODEL}},
		.jobs = 4,
	};

	line_has(&vm, " energy=1.25J/model per_job=3.1J guest=ok");
	vm.jobs = 0;
	line_has(&vm, " energy=1.25J/model per_job=unknown guest=ok");
	vm.jobs = 4;
	vm.power.period.joules = vm.power.total.joules = NAN;
	line_has(&vm, " energy=unknown/model per_job=unknown guest=ok");
	return done_testing();
}
