#include "control/replay.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "space/layout.h"

#define WINDOW_NS   (60 * NS_PER_S)
#define WINDOW_JOBS 10

/* Seconds in which a space was full, as of each look: a sum that only grows, in a list. */
struct moments {
	struct moment {
		int64_t at_ns;
		double recorded_s, played_s;
	} * item;
	size_t count, room;
};

struct job {
	int64_t arrival_ns, end_ns;
	uint64_t out_bytes;
	int64_t service_ns;
};

/* One space being played. */
struct played {
	struct moments full;
	struct job *job;
	size_t njobs, jobs_room;
	uint64_t size_bytes; /* 0: not begun */
	int direction;
	double seconds;
};

struct play {
	const struct replay_spec *spec;
	struct recording_reader reader;
	struct replay_result *result;
	struct control control;
	struct control_facts *facts;
	struct control_order *order;
	struct played *space;
	int64_t begin_ns, last_ns;
};

static int grow(void **items, size_t *room, size_t count, size_t size)
{
	size_t more = *room ? 2 * *room : 256;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*items, more * size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = more;
	return 0;
}

/* ---- time spent full ---- */

static int add_moment(struct moments *m, int64_t now_ns, double recorded_s, double played_s)
{
	struct moment before = m->count ? m->item[m->count - 1] : (struct moment){0};
	void *items = m->item;
	int err = grow(&items, &m->room, m->count, sizeof(*m->item));

	m->item = items;
	if (err)
		return err;
	m->item[m->count++] =
		(struct moment){now_ns, before.recorded_s + recorded_s, before.played_s + played_s};
	return 0;
}

static struct moment moment_at(const struct moments *m, int64_t at_ns)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->item[middle].at_ns <= at_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? m->item[low - 1] : (struct moment){0};
}

/* ---- one look ---- */

static int keep_jobs(struct play *p, size_t i)
{
	const struct control_facts *f = &p->reader.facts[i];
	struct played *s = &p->space[i];

	for (size_t k = 0; k < f->nrecords; k++) {
		const struct job_record *r = &f->record[k];
		void *jobs = s->job;
		int err = grow(&jobs, &s->jobs_room, s->njobs, sizeof(*s->job));

		s->job = jobs;
		if (err)
			return err;
		s->job[s->njobs++] = (struct job){r->arrival_ns, r->end_ns, r->out_bytes,
						  r->end_ns - r->start_ns - r->blocked_ns};
	}
	return 0;
}

/* The facts as they would be with the size that the policy has given it. */
static int imagine(struct play *p, size_t i, double dt_s)
{
	const struct control_facts *recorded = &p->reader.facts[i];
	struct played *s = &p->space[i];
	struct control_facts *f = &p->facts[i];
	bool too_small;

	*f = *recorded;
	if (f->absent)
		return 0;
	if (!s->size_bytes)
		s->size_bytes = f->size_bytes;
	too_small = s->size_bytes < f->used_bytes;
	f->size_bytes = too_small ? f->used_bytes : s->size_bytes;
	f->full = f->size_bytes - f->used_bytes < SPACE_PIECE;
	p->result->short_s += f->full ? dt_s : 0;
	s->size_bytes = f->size_bytes;
	s->seconds += dt_s;
	p->result->space[i].mean_bytes += dt_s * (double)f->size_bytes;
	p->result->space[i].used_mean_bytes += dt_s * (double)f->used_bytes;
	if (add_moment(&s->full, p->reader.now_ns, recorded->full ? dt_s : 0, f->full ? dt_s : 0))
		return -ENOMEM;
	return keep_jobs(p, i);
}

static uint64_t static_size(const struct play *p, size_t i)
{
	const struct control_wish *wish = &p->reader.config.space[i].wish;

	return p->spec->static_bytes ? p->spec->static_bytes : wish->max_bytes;
}

static uint64_t threshold_size(const struct control_facts *f, const struct control_wish *wish)
{
	double part = (double)f->used_bytes / (double)f->size_bytes;
	double size =
		part > 0.8 || part < 0.4 ? (double)f->used_bytes / 0.6 : (double)f->size_bytes;

	return (uint64_t)fmin((double)wish->max_bytes, fmax((double)wish->min_bytes, size));
}

static void decide(struct play *p)
{
	if (p->spec->policy == SIMULATE_MEMNET) {
		control_tick(&p->control, (uint64_t)p->reader.now_ns, p->facts, p->order);
		return;
	}
	for (size_t i = 0; i < p->reader.config.nspaces; i++) {
		const struct control_facts *f = &p->facts[i];
		uint64_t size = p->spec->policy == SIMULATE_STATIC
					? static_size(p, i)
					: threshold_size(f, &p->reader.config.space[i].wish);

		p->order[i] = (struct control_order){
			.size_bytes = size > f->used_bytes ? size : f->used_bytes};
	}
}

static int resize(void *cookie, size_t i, uint64_t *size_bytes)
{
	struct play *p = cookie;
	struct played *s = &p->space[i];
	int direction = *size_bytes > s->size_bytes ? 1 : -1;

	p->result->space[i].resizes++;
	p->result->space[i].reversals += s->direction == -direction;
	s->direction = direction;
	s->size_bytes = *size_bytes;
	return 0;
}

static void sum_up(struct play *p)
{
	struct replay_result *r = p->result;
	uint64_t sum = 0;

	for (size_t i = 0; i < r->nspaces; i++) {
		uint64_t size = p->facts[i].absent ? 0 : p->space[i].size_bytes;

		if (size > r->space[i].peak_bytes)
			r->space[i].peak_bytes = size;
		sum += size;
	}
	if (sum > r->total.peak_bytes)
		r->total.peak_bytes = sum;
	r->over_budget += p->control.tuning.budget_bytes && sum > p->control.tuning.budget_bytes;
}

/* Whether the size that was recorded for this look is another than ours: what follows is imagined.
 */
static void compare(struct play *p, double at_s)
{
	for (size_t i = 0; i < p->result->nspaces && p->result->differs_s < 0; i++) {
		const struct control_facts *f = &p->reader.facts[i];

		if (!f->absent && p->space[i].size_bytes && p->space[i].size_bytes != f->size_bytes)
			p->result->differs_s = at_s;
	}
}

static int play_look(struct play *p)
{
	int64_t now = p->reader.now_ns;
	double dt_s = p->last_ns ? (double)(now - p->last_ns) / 1e9 : 0;
	int err = 0;

	if (!p->last_ns)
		p->begin_ns = now;
	compare(p, (double)(now - p->begin_ns) / 1e9);
	for (size_t i = 0; !err && i < p->result->nspaces; i++)
		err = imagine(p, i, dt_s);
	if (err)
		return err;
	decide(p);
	control_apply(&p->control, p->facts, p->order, resize, p);
	sum_up(p);
	p->last_ns = now;
	p->result->looks++;
	return 0;
}

/* ---- jobs and their windows ---- */

static int by_arrival(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return x->arrival_ns < y->arrival_ns ? -1 : x->arrival_ns > y->arrival_ns;
}

/* How many of so many jobs may be late: n - ceil(share n). */
static unsigned int allowed(size_t n, double share)
{
	return (unsigned int)(n - (size_t)ceil(share * (double)n - 1e-9));
}

static void count_window(const struct played *s, const struct control_wish *wish, size_t from,
			 size_t to, struct simulate_vm *r)
{
	double limit_s = (double)wish->slo_ns / 1e9;
	unsigned int late = 0, late_anyway = 0, may = allowed(to - from, wish->slo_share);

	for (size_t k = from; k < to; k++) {
		const struct job *j = &s->job[k];
		struct moment a = moment_at(&s->full, j->arrival_ns);
		struct moment b = moment_at(&s->full, j->end_ns);
		double alone_s =
			(double)(j->end_ns - j->arrival_ns) / 1e9 - (b.recorded_s - a.recorded_s);

		late += alone_s + (b.played_s - a.played_s) > limit_s;
		late_anyway += alone_s > limit_s;
	}
	r->windows++;
	r->violated += late > may;
	r->xv += late > may && late_anyway <= may;
}

static void count_jobs(struct play *p, size_t i)
{
	const struct control_wish *wish = &p->reader.config.space[i].wish;
	struct simulate_vm *r = &p->result->space[i];
	struct played *s = &p->space[i];
	size_t from = 0;

	r->jobs = s->njobs;
	r->jobs_fnv = SIM_HASH_START;
	if (s->njobs)
		qsort(s->job, s->njobs, sizeof(*s->job), by_arrival);
	for (size_t k = 0; k < s->njobs; k++) {
		const struct job *j = &s->job[k];

		r->jobs_fnv =
			sim_hash_u64(r->jobs_fnv, (uint64_t)((j->arrival_ns - p->begin_ns) / 1000));
		r->jobs_fnv = sim_hash_u64(r->jobs_fnv, j->out_bytes);
		r->jobs_fnv = sim_hash_u64(r->jobs_fnv, (uint64_t)(j->service_ns / 1000));
	}
	while (from < s->njobs) {
		int64_t window = (s->job[from].arrival_ns - p->begin_ns) / WINDOW_NS;
		size_t to = from;

		while (to < s->njobs && (s->job[to].arrival_ns - p->begin_ns) / WINDOW_NS == window)
			to++;
		if (to - from >= WINDOW_JOBS && wish->slo_ns)
			count_window(s, wish, from, to, r);
		from = to;
	}
}

static void add_total(struct replay_result *result, const struct simulate_vm *r)
{
	struct simulate_vm *t = &result->total;

	t->jobs += r->jobs;
	t->jobs_fnv = sim_hash_u64(t->jobs_fnv, r->jobs_fnv);
	t->windows += r->windows;
	t->violated += r->violated;
	t->xv += r->xv;
	t->mean_bytes += r->mean_bytes;
	t->used_mean_bytes += r->used_mean_bytes;
	t->resizes += r->resizes;
	t->reversals += r->reversals;
}

static void finish(struct play *p)
{
	p->result->duration_s = (double)(p->last_ns - p->begin_ns) / 1e9;
	p->result->total.jobs_fnv = SIM_HASH_START;
	for (size_t i = 0; i < p->result->nspaces; i++) {
		struct simulate_vm *r = &p->result->space[i];

		if (p->space[i].seconds > 0) {
			r->mean_bytes /= p->space[i].seconds;
			r->used_mean_bytes /= p->space[i].seconds;
		}
		count_jobs(p, i);
		add_total(p->result, r);
	}
	if (p->result->nspaces == 1)
		p->result->total.jobs_fnv = p->result->space[0].jobs_fnv;
}

/* ---- begin and end ---- */

static int prepare(struct play *p, struct mn_error *e)
{
	struct tuner_config *c = &p->reader.config;
	struct control_wish wish[TUNER_SPACES_MAX];
	int err;

	if (p->spec->budget_bytes)
		c->tuning.budget_bytes = p->spec->budget_bytes;
	p->result->nspaces = c->nspaces;
	p->result->differs_s = -1;
	p->result->space = calloc(c->nspaces, sizeof(*p->result->space));
	p->facts = calloc(c->nspaces, sizeof(*p->facts));
	p->order = calloc(c->nspaces, sizeof(*p->order));
	p->space = calloc(c->nspaces, sizeof(*p->space));
	if (!p->result->space || !p->facts || !p->order || !p->space)
		return mn_fail_errno(e, ENOMEM, "replay");
	for (size_t i = 0; i < c->nspaces; i++)
		wish[i] = c->space[i].wish;
	err = control_init(&p->control, &c->tuning, wish, c->nspaces);
	return err ? mn_fail(e, MN_USAGE, -err,
			     "impossible settings (is the budget below the minima?)")
		   : 0;
}

static void clean(struct play *p)
{
	for (size_t i = 0; p->space && i < p->result->nspaces; i++) {
		free(p->space[i].full.item);
		free(p->space[i].job);
	}
	free(p->space);
	free(p->facts);
	free(p->order);
	control_close(&p->control);
	recording_end(&p->reader);
}

int replay(const char *path, const struct replay_spec *spec, struct replay_result *result,
	   struct mn_error *e)
{
	struct play p = {.spec = spec, .result = result};
	int err, more = 0;

	memset(result, 0, sizeof(*result));
	err = recording_begin(&p.reader, path, e);
	if (!err)
		err = prepare(&p, e);
	while (!err && (more = recording_next(&p.reader, e)) > 0)
		err = play_look(&p) ? mn_fail_errno(e, ENOMEM, "%s", path) : 0;
	if (!err && more < 0) {
		mn_error_prefix(e, "%s", path);
		err = more;
	}
	if (!err)
		finish(&p);
	clean(&p);
	return err;
}

void replay_close(struct replay_result *result)
{
	free(result->space);
	result->space = NULL;
}
