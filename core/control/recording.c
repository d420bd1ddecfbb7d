#include "control/recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "memnet-recording 1"

/* ---- writing ---- */

static void put_head(FILE *f, const struct tuner_config *config)
{
	const struct control_tuning *t = &config->tuning;

	fprintf(f, MAGIC "\n");
	fprintf(f,
		"tuning %" PRIu64 " %" PRIu64 " %" PRIu64 " %.17g %.17g %" PRIu64 " %.17g %" PRIu64
		" %.17g %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		t->period_ns, t->guard_ns, t->budget_bytes, t->reserve, t->slo_margin,
		t->slo_window_ns, t->shrink_hold, t->headroom_min_bytes, t->headroom_factor,
		t->payback_ns, t->stale_ns, t->failsafe_ns);
	for (size_t i = 0; i < config->nspaces; i++) {
		const struct tuner_wish *w = &config->space[i];

		fprintf(f, "space %s/%s %" PRIu64 " %" PRIu64 " %.17g %" PRIu64 " %.17g %.17g\n",
			w->name.vm, w->name.space, w->wish.min_bytes, w->wish.max_bytes,
			w->wish.weight, w->wish.slo_ns, w->wish.slo_share, w->wish.ttl_s);
	}
}

int recording_create(struct recording *r, const char *path, const struct tuner_config *config,
		     struct mn_error *e)
{
	*r = (struct recording){.nspaces = config->nspaces};
	r->last = calloc(config->nspaces, sizeof(*r->last));
	r->file = fopen(path, "we");
	if (!r->last || !r->file) {
		int err = r->last ? errno : ENOMEM;

		recording_close(r);
		return mn_fail_errno(e, err, "%s", path);
	}
	put_head(r->file, config);
	return 0;
}

/* Whether there is anything to say of it that the last line did not. */
static bool news(const struct control_facts *f, const struct control_facts *last)
{
	return f->size_bytes != last->size_bytes || f->used_bytes != last->used_bytes ||
	       f->growing != last->growing || f->deliverable != last->deliverable ||
	       f->full != last->full || f->absent != last->absent || f->inflow_bytes ||
	       f->freed_bytes || f->delivered_bytes || f->started || f->completed || f->nrecords ||
	       f->cpu_busy != last->cpu_busy || f->drain_bps != last->drain_bps ||
	       f->client_bps != last->client_bps;
}

static void put_facts(FILE *file, size_t i, int64_t now_ns, const struct control_facts *f)
{
	if (f->absent) {
		fprintf(file, "a %zu\n", i);
		return;
	}
	fprintf(file,
		"f %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %u %u %.0f %.0f %u %u %d %.6g %.6g %.6g\n",
		i, f->size_bytes, f->used_bytes, f->inflow_bytes, f->freed_bytes,
		f->delivered_bytes, f->started, f->completed, f->completed_bytes,
		f->completed_bytes2, f->growing, f->deliverable, f->full, f->cpu_busy, f->drain_bps,
		f->client_bps);
	for (size_t k = 0; k < f->nrecords; k++) {
		const struct job_record *r = &f->record[k];

		fprintf(file, "r %zu %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRId64 "\n",
			i, now_ns - r->arrival_ns, now_ns - r->start_ns, now_ns - r->end_ns,
			r->out_bytes, r->blocked_ns);
	}
}

void recording_add(struct recording *r, int64_t now_ns, const struct control_facts facts[])
{
	if (!r->file)
		return;
	fprintf(r->file, "t %" PRId64 "\n", now_ns);
	for (size_t i = 0; i < r->nspaces; i++) {
		if (news(&facts[i], &r->last[i]))
			put_facts(r->file, i, now_ns, &facts[i]);
		r->last[i] = facts[i];
	}
}

int recording_close(struct recording *r)
{
	int err = 0;

	if (r->file) {
		err = ferror(r->file) ? -EIO : 0;
		if (fclose(r->file) && !err)
			err = -errno;
	}
	free(r->last);
	*r = (struct recording){0};
	return err;
}

/* ---- reading ---- */

static int bad_line(const struct recording_reader *r, struct mn_error *e)
{
	return mn_fail(e, MN_FAILED, EINVAL, "line %u is not of a recording by memnet tune",
		       r->number);
}

/* 1, or 0 at the end. */
static int next_line(struct recording_reader *r)
{
	if (r->pending) {
		r->pending = false;
		return 1;
	}
	r->number++;
	return getline(&r->line, &r->room, r->file) > 0;
}

static bool read_tuning(const char *line, struct control_tuning *t)
{
	return sscanf(line,
		      "tuning %" SCNu64 " %" SCNu64 " %" SCNu64 " %lf %lf %" SCNu64 " %lf %" SCNu64
		      " %lf %" SCNu64 " %" SCNu64 " %" SCNu64,
		      &t->period_ns, &t->guard_ns, &t->budget_bytes, &t->reserve, &t->slo_margin,
		      &t->slo_window_ns, &t->shrink_hold, &t->headroom_min_bytes,
		      &t->headroom_factor, &t->payback_ns, &t->stale_ns, &t->failsafe_ns) == 12;
}

static bool read_space(struct recording_reader *r, const char *line)
{
	struct tuner_config *c = &r->config;
	struct tuner_wish *w = &c->space[c->nspaces];
	char name[72];

	if (c->nspaces == TUNER_SPACES_MAX ||
	    sscanf(line, "space %71s %" SCNu64 " %" SCNu64 " %lf %" SCNu64 " %lf %lf", name,
		   &w->wish.min_bytes, &w->wish.max_bytes, &w->wish.weight, &w->wish.slo_ns,
		   &w->wish.slo_share, &w->wish.ttl_s) != 7 ||
	    name_parse(name, &w->name, NULL))
		return false;
	c->nspaces++;
	return true;
}

static int read_head(struct recording_reader *r, struct mn_error *e)
{
	if (!next_line(r) || strncmp(r->line, MAGIC "\n", sizeof(MAGIC)) != 0)
		return bad_line(r, e);
	if (!next_line(r) || !read_tuning(r->line, &r->config.tuning))
		return bad_line(r, e);
	while (next_line(r)) {
		if (strncmp(r->line, "space ", 6) != 0) {
			r->pending = true;
			break;
		}
		if (!read_space(r, r->line))
			return bad_line(r, e);
	}
	return r->config.nspaces ? 0 : bad_line(r, e);
}

int recording_begin(struct recording_reader *r, const char *path, struct mn_error *e)
{
	int err;

	memset(r, 0, sizeof(*r));
	r->file = fopen(path, "re");
	if (!r->file)
		return mn_fail_errno(e, errno, "%s", path);
	r->config.space = calloc(TUNER_SPACES_MAX, sizeof(*r->config.space));
	if (!r->config.space)
		return mn_fail_errno(e, ENOMEM, "%s", path);
	err = read_head(r, e);
	if (err) {
		mn_error_prefix(e, "%s", path);
		return err;
	}
	r->facts = calloc(r->config.nspaces, sizeof(*r->facts));
	r->record = calloc(r->config.nspaces, sizeof(*r->record));
	if (!r->facts || !r->record)
		return mn_fail_errno(e, ENOMEM, "%s", path);
	for (size_t i = 0; i < r->config.nspaces; i++)
		r->facts[i].absent = true;
	return 0;
}

/* What does not last from one look to the next. */
static void still(struct control_facts *f)
{
	f->inflow_bytes = f->freed_bytes = f->delivered_bytes = 0;
	f->started = f->completed = 0;
	f->completed_bytes = f->completed_bytes2 = 0;
	f->nrecords = 0;
}

static bool read_facts(struct recording_reader *r)
{
	struct control_facts f = {0};
	size_t i;
	int full;

	if (sscanf(r->line,
		   "f %zu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %u %u %lf %lf %u %u %d %lf %lf %lf",
		   &i, &f.size_bytes, &f.used_bytes, &f.inflow_bytes, &f.freed_bytes,
		   &f.delivered_bytes, &f.started, &f.completed, &f.completed_bytes,
		   &f.completed_bytes2, &f.growing, &f.deliverable, &full, &f.cpu_busy,
		   &f.drain_bps, &f.client_bps) != 16 ||
	    i >= r->config.nspaces)
		return false;
	f.full = full != 0;
	f.peak_bytes = f.used_bytes;
	f.record = r->record[i];
	r->facts[i] = f;
	return true;
}

/* Not so far from now that differences of it overflow. */
static bool plausible(int64_t ns)
{
	return ns > -INT64_MAX / 8 && ns < INT64_MAX / 8;
}

static bool read_record(struct recording_reader *r)
{
	struct job_record *to, from;
	size_t i;

	if (sscanf(r->line, "r %zu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNd64, &i,
		   &from.arrival_ns, &from.start_ns, &from.end_ns, &from.out_bytes,
		   &from.blocked_ns) != 6 ||
	    i >= r->config.nspaces || r->facts[i].nrecords == INTAKE_MAX ||
	    !plausible(from.arrival_ns) || !plausible(from.start_ns) || !plausible(from.end_ns) ||
	    !plausible(from.blocked_ns))
		return false;
	to = &r->record[i][r->facts[i].nrecords++];
	*to = from;
	to->arrival_ns = r->now_ns - from.arrival_ns;
	to->start_ns = r->now_ns - from.start_ns;
	to->end_ns = r->now_ns - from.end_ns;
	return true;
}

static bool read_absent(struct recording_reader *r)
{
	size_t i;

	if (sscanf(r->line, "a %zu", &i) != 1 || i >= r->config.nspaces)
		return false;
	r->facts[i] = (struct control_facts){.absent = true};
	return true;
}

int recording_next(struct recording_reader *r, struct mn_error *e)
{
	int64_t now;

	if (!next_line(r))
		return 0;
	if (sscanf(r->line, "t %" SCNd64, &now) != 1 || now < r->now_ns || !plausible(now))
		return bad_line(r, e);
	r->now_ns = now;
	for (size_t i = 0; i < r->config.nspaces; i++)
		still(&r->facts[i]);
	while (next_line(r)) {
		bool good = true;

		switch (r->line[0]) {
		case 'f': good = read_facts(r); break;
		case 'r': good = read_record(r); break;
		case 'a': good = read_absent(r); break;
		default: r->pending = true; return 1;
		}
		/* Cut off in the middle of a line: the loop was killed while it wrote. */
		if (!good)
			return feof(r->file) ? 0 : bad_line(r, e);
	}
	return 1;
}

void recording_end(struct recording_reader *r)
{
	if (r->file)
		fclose(r->file);
	free(r->line);
	free(r->config.space);
	free(r->facts);
	free(r->record);
	memset(r, 0, sizeof(*r));
}
