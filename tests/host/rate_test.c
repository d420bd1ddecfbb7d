/* Bookings come in turn, a pause is no credit, and files have rates of their own. */
#include "host/rate.h"

#include "base/clock.h"
#include "tests/tap.h"

#define NOW (1000 * NS_PER_S)
#define MS  NS_PER_MS

static void in_turn(void)
{
	struct rate r = {0};

	is_int(rate_book(&r, 1000, 100, NOW, 0), NOW, "the first may be sent at once");
	is_int(rate_book(&r, 1000, 50, NOW, 0), NOW + 100 * MS, "the second behind it");
	is_int(rate_book(&r, 1000, 50, NOW, 0), NOW + 150 * MS, "the third behind both");
	is_int(rate_book(&r, 1000, 1, NOW + 180 * MS, 0), NOW + 200 * MS, "however late it comes");
}

static void no_credit(void)
{
	struct rate r = {0};

	rate_book(&r, 1000, 100, NOW, 0);
	is_int(rate_book(&r, 1000, 100, NOW + NS_PER_S, 0), NOW + NS_PER_S,
	       "what was not used is lost");
	is_int(rate_book(&r, 1000, 1, NOW + NS_PER_S, 0), NOW + 1100 * MS, "…");
	is_int(rate_book(&r, 1000, 20, NOW + 2 * NS_PER_S, 30 * MS), NOW + 1970 * MS,
	       "but for the slack");
	is_int(rate_book(&r, 1000, 1, NOW + 2 * NS_PER_S, 30 * MS), NOW + 1990 * MS, "…");
}

static void given_back(void)
{
	struct rate r = {0};

	rate_book(&r, 1000, 100, NOW, 0);
	rate_book(&r, 1000, -60, NOW, 0);
	is_int(rate_book(&r, 1000, 1, NOW, 0), NOW + 40 * MS, "a booking can be given back");
}

static void extremes(void)
{
	struct rate r = {0};

	rate_book(&r, 1, 2 << 20, NOW, 0);
	is_int(rate_book(&r, UINT64_MAX, 2 << 20, NOW, 0), NOW + (2LL << 20) * NS_PER_S,
	       "2 MiB take 24 days at a byte per second");
	is_int(rate_book(&r, UINT64_MAX, 1, NOW, 0), NOW + (2LL << 20) * NS_PER_S,
	       "and nothing at the fastest rate");
}

static void of_files(void)
{
	static struct rates rates;
	struct file_rate *a, *b, *c, *d;

	is_int(rates_init(&rates), 0, "a table");
	a = rates_get(&rates, 1, 2);
	b = rates_get(&rates, 1, 3);
	c = rates_get(&rates, 2, 2);
	d = rates_get(&rates, 1, 2 + RATES_CHAINS);
	ok(rates_get(&rates, 1, 2) == a, "a file has one rate, whoever asks");
	ok(a != b, "another file has another one");
	ok(a != c, "as has one on another file system");
	ok(a != d, "and one of the same hash");
	rate_book(&a->rate, 1000, 100, NOW, 0);
	rates_put(a);
	is_int(rate_book(&a->rate, 1000, 1, NOW, 0), NOW + 100 * MS,
	       "it lasts while someone has it");
	rates_put(a);
	a = rates_get(&rates, 1, 2);
	is_int(a->rate.due_ns, 0, "and begins anew when nobody had");
	rates_put(a);
	rates_put(b);
	rates_put(c);
	rates_put(d);
	rates_fini(&rates);
}

int main(void)
{
	in_turn();
	no_credit();
	given_back();
	extremes();
	of_files();
	return done_testing();
}
