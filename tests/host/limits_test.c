/* The rates in force: of the options, lent, lapsed; and what goes out in spite of them. */
#include "host/limits.h"

#include "base/clock.h"
#include "tests/tap.h"

#define SITE 1

static void lent(void)
{
	struct limits r = {0};

	is_int(limits_init(&r, 1000, 0, 2), 0, "with what the options say");
	is_int(limits_only(&r, SITE), 1000, "which is in force");
	r.client_lease = (struct lease){800, 50};
	r.space_lease[SITE] = (struct lease){600, 40};
	r.total_lease = (struct lease){2000, 60};
	limits_update(&r, 10);
	is_int(limits_total(&r), 1000, "what is lent raises nothing");
	is_int(limits_client(&r), 800, "and is in force");
	is_int(limits_only(&r, SITE), 600, "the least is, for the only client of a space");
	is_int(limits_only(&r, 0), 800, "another space has another one");
	is_int(limits_next(&r, 10), 40, "until the first lease ends");
	limits_update(&r, 40);
	is_int(limits_only(&r, SITE), 800, "then the next one");
	is_int(limits_next(&r, 40), 50, "until that does");
	limits_update(&r, 60);
	is_int(limits_only(&r, SITE), 1000, "and at last what the options say");
	is_int(limits_next(&r, 60), INT64_MAX, "for ever");
	limits_fini(&r);
}

static void charged(void)
{
	const int64_t now = 1000 * NS_PER_S;
	struct limits r = {0}, none = {0};

	limits_init(&r, 1000, 0, 2);
	r.space_lease[SITE] = (struct lease){500, INT64_MAX};
	limits_update(&r, now);
	limits_charge(&r, SITE, 100, now);
	is_int(rate_book(&r.total.rate, 1000, 1, now, 0) - now, NS_PER_S / 10,
	       "the others have to wait for it");
	is_int(rate_book(&r.space[SITE].rate, 500, 1, now, 0) - now, NS_PER_S / 5,
	       "by the space's rate, too");
	is_int(r.space[0].rate.due_ns, 0, "but not those of another space");
	for (int i = 0; i < 100; i++)
		limits_charge(&r, SITE, 100, now);
	ok(rate_book(&r.total.rate, 1000, 1, now, 0) - now < LIMITS_CHARGE_NS + NS_PER_S / 5,
	   "nor for ever");
	limits_fini(&r);
	limits_init(&none, 0, 0, 1);
	limits_charge(&none, 0, 100, now);
	is_int(none.total.rate.due_ns, 0, "where there is no rate nobody waits");
	limits_fini(&none);
}

int main(void)
{
	lent();
	charged();
	return done_testing();
}
