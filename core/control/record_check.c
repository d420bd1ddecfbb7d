#include "control/record_check.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#define SECOND_NS	  INT64_C(1000000000)
#define DAY_NS		  (86400 * SECOND_NS)
#define CREDIT_BURST	  20
#define CREDIT_PER_OBJECT 1.2

const char *record_verdict_name(enum record_verdict verdict)
{
	static const char *const names[] = {
		"ok", "times", "future", "old", "size", "blocked", "too many",
	};

	static_assert(sizeof(names) / sizeof(*names) == RECORD_NVERDICTS, "one name each");
	return (unsigned int)verdict < RECORD_NVERDICTS ? names[verdict] : "unknown";
}

void record_credit_init(struct record_credit *credit)
{
	credit->records = CREDIT_BURST;
}

void record_credit_earn(struct record_credit *credit, uint64_t completed)
{
	double earned = CREDIT_PER_OBJECT * (double)completed;

	credit->records = fmin(credit->records + earned, fmax(CREDIT_BURST, earned));
}

/*
 * Every time is bounded against now before any two are subtracted, so that no guest's figure
 * overflows: all differences stay within a day and a minute.
 */
static enum record_verdict check_times(const struct job_record *record, int64_t now_ns)
{
	if (record->end_ns > now_ns && record->end_ns - now_ns > SECOND_NS)
		return RECORD_FUTURE;
	if (record->end_ns < now_ns - 60 * SECOND_NS)
		return RECORD_OLD;
	if (record->arrival_ns > record->start_ns || record->start_ns > record->end_ns)
		return RECORD_TIMES;
	if (record->arrival_ns < now_ns - DAY_NS)
		return RECORD_OLD;
	return RECORD_OK;
}

enum record_verdict record_check(struct record_credit *credit, const struct job_record *record,
				 int64_t now_ns, uint64_t max_bytes)
{
	enum record_verdict verdict = check_times(record, now_ns);

	if (verdict != RECORD_OK)
		return verdict;
	if (!record->out_bytes || record->out_bytes > max_bytes)
		return RECORD_SIZE;
	if (record->blocked_ns < 0 ||
	    record->blocked_ns > record->end_ns - record->start_ns + SECOND_NS / 20)
		return RECORD_BLOCKED;
	if (credit->records < 1)
		return RECORD_TOO_MANY;
	credit->records--;
	return RECORD_OK;
}
