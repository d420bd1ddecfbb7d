#include "control/record_check.h"

#include "tests/tap.h"

#define S	  INT64_C(1000000000)
#define NOW	  (1000 * S)
#define MAX_BYTES 4000000000u

static const struct job_record good = {
	.arrival_ns = NOW - 5 * S,
	.start_ns = NOW - 4 * S,
	.end_ns = NOW - S,
	.out_bytes = 24000000,
	.blocked_ns = S,
};

static enum record_verdict verdict_of(struct job_record record)
{
	struct record_credit credit;

	record_credit_init(&credit);
	return record_check(&credit, &record, NOW, MAX_BYTES);
}

#define GOOD_BUT(...)                                                                              \
	__extension__({                                                                            \
		struct job_record r = good;                                                        \
		__VA_ARGS__;                                                                       \
		verdict_of(r);                                                                     \
	})

static void one_by_one(void)
{
	is_int(verdict_of(good), RECORD_OK, "an honest record");
	is_int(GOOD_BUT(r.start_ns = r.arrival_ns - 1), RECORD_TIMES, "started before it came");
	is_int(GOOD_BUT(r.end_ns = r.start_ns - 1), RECORD_TIMES, "ended before it started");
	is_int(GOOD_BUT(r.end_ns = NOW + S), RECORD_OK, "a second from now is clock error");
	is_int(GOOD_BUT(r.end_ns = NOW + S + 1), RECORD_FUTURE, "more is the future");
	is_int(GOOD_BUT(r.end_ns = INT64_MAX), RECORD_FUTURE, "the end of time");
	is_int(GOOD_BUT(r.end_ns = INT64_MIN), RECORD_OLD, "the beginning of time");
	is_int(GOOD_BUT(r.arrival_ns = INT64_MIN), RECORD_OLD, "came at the beginning of time");
	is_int(GOOD_BUT(r.arrival_ns = r.start_ns = r.end_ns = NOW - 61 * S), RECORD_OLD,
	       "ended more than a minute ago");
	is_int(GOOD_BUT(r.out_bytes = 0), RECORD_SIZE, "wrote nothing");
	is_int(GOOD_BUT(r.out_bytes = MAX_BYTES + UINT64_C(1)), RECORD_SIZE, "wrote too much");
	is_int(GOOD_BUT(r.out_bytes = UINT64_MAX), RECORD_SIZE, "wrote everything");
	is_int(GOOD_BUT(r.blocked_ns = -1), RECORD_BLOCKED, "waited less than nothing");
	is_int(GOOD_BUT(r.blocked_ns = 3 * S + S / 20), RECORD_OK, "waited all the time");
	is_int(GOOD_BUT(r.blocked_ns = 3 * S + S / 20 + 1), RECORD_BLOCKED, "and longer");
	is_int(GOOD_BUT(r.blocked_ns = INT64_MAX), RECORD_BLOCKED, "waited for ever");
}

/* Records that look right, but more than the host saw objects completed. */
static void flood(void)
{
	struct record_credit credit;
	unsigned int taken = 0;

	record_credit_init(&credit);
	for (int i = 0; i < 1000000; i++)
		taken += record_check(&credit, &good, NOW, MAX_BYTES) == RECORD_OK;
	is_int(taken, 20, "of a million unearned records, the burst");
	record_credit_earn(&credit, 10);
	for (taken = 0; record_check(&credit, &good, NOW, MAX_BYTES) == RECORD_OK;)
		taken++;
	is_int(taken, 12, "1.2 for each completion");
	for (int i = 0; i < 1000; i++)
		record_credit_earn(&credit, 10);
	for (taken = 0; record_check(&credit, &good, NOW, MAX_BYTES) == RECORD_OK;)
		taken++;
	ok(taken <= 20, "a silent guest saves up no flood (%u)", taken);
	is_int(record_check(&credit, &good, NOW, MAX_BYTES), RECORD_TOO_MANY, "and is told");
}

/* Nonsense never passes as a verdict of none, and never overflows (UBSan looks on). */
static void noise(void)
{
	uint64_t x = 1;
	unsigned int passed = 0;

	for (int i = 0; i < 1000000; i++) {
		int64_t field[5];

		for (int j = 0; j < 5; j++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			field[j] = (int64_t)(x ^ (x >> 29));
			if (i & (1 << j))
				field[j] = NOW - field[j] % (100 * S);
		}
		passed +=
			verdict_of((struct job_record){field[0], field[1], field[2],
						       (uint64_t)field[3], field[4]}) == RECORD_OK;
	}
	ok(passed < 10000, "a million random records: %u pass", passed);
}

int main(void)
{
	one_by_one();
	flood();
	noise();
	is_str(record_verdict_name(RECORD_FUTURE), "future", "verdicts have names");
	is_str(record_verdict_name(RECORD_NVERDICTS), "unknown", "and no others");
	return done_testing();
}
