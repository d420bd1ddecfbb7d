#include "guest/levels.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* How much input is compressed before the level is thought over: what takes so long, within these
 * bounds. Short ones would cost density where each is a frame. */
#define STRETCH_S     1.5
#define STRETCH_MIN   ((uint64_t)2 * 1024 * 1024)
#define STRETCH_BLIND ((uint64_t)4 * 1024 * 1024) /* at most, before anything is known */
#define STRETCH_MAX   ((uint64_t)32 * 1024 * 1024)

#define LEARN_MIN ((uint64_t)256 * 1024)

#define LOOK_NS	    (NS_PER_S / 2)
#define SMOOTH_S    3.0			 /* what the job itself sees of the drain, over so long */
#define REST	    (64.0 * 1024 * 1024) /* of an input that does not say how much it has */
#define BACKLOG_MIN (1024.0 * 1024)	 /* less is nothing: statvfs is no finer through 9p */

static bool pace_fresh(struct levels *p, int64_t now)
{
	uint64_t serial = p->pace.serial;

	if (pace_read(p->room->rootfd, &p->pace) < 0)
		return false;
	if (p->pace.serial != serial || !p->heard_ns)
		p->heard_ns = now;
	return now - p->heard_ns < p->pace.valid_ns;
}

static double smooth(double old, double new, double dt_s, double over_s)
{
	return old + (new - old) * (dt_s < over_s ? dt_s / over_s : 1);
}

/*
 * This job's part of what the host says, which is for all that write into the space. But the host
 * says it late, and of no more than there was to take: what this job wrote and saw go, counts too.
 */
static double told_rate(struct levels *p, double written, double grown, double dt_s)
{
	double rate = (double)p->pace.drain_bytes_per_s, all = rate * dt_s + grown;
	double gone = grown < 0 ? written : written - grown;

	if (written > 0)
		p->part = smooth(p->part, all > written ? written / all : 1, dt_s, SMOOTH_S);
	rate *= p->part;
	return gone > rate * dt_s ? gone / dt_s : rate;
}

static void take_rate(struct adapt_drain *d, double rate, bool busy, double dt_s, double over_s)
{
	if (d->rate < 0)
		d->rate = rate > 0 ? rate : -1;
	else if (busy || rate > d->rate) /* else there was nothing to take */
		d->rate = smooth(d->rate, rate, dt_s, over_s);
}

static void look_at_space(struct levels *p, int64_t now, double dt_s)
{
	double written = (double)(p->written - p->looked_written), grown, rate, most;
	bool busy = p->drain.backlog > 0, told = pace_fresh(p, now);
	struct room_view view;
	uint64_t used;

	if (room_look(p->room, &view))
		return;
	used = view.size - view.free;
	grown = (double)used - (double)p->used;
	rate = (written - grown) / dt_s;
	if (told)
		rate = told_rate(p, written, grown, dt_s);
	rate = rate > 0 ? rate : 0;
	if (p->drain.rate < 0 && p->waited_ns - p->looked_waited_ns > (now - p->looked_ns) / 4)
		p->drain.rate = rate; /* nobody takes anything, and there is no room */
	p->seen_s += dt_s;
	take_rate(&p->drain, rate, busy, dt_s,
		  told			 ? 0
		  : p->seen_s < SMOOTH_S ? p->seen_s
					 : SMOOTH_S);
	p->drain.advice = told ? p->pace.level : 0;
	most = used > p->held ? (double)(used - p->held) : 0;
	p->drain.backlog += written - rate * dt_s;
	if (p->drain.backlog > most)
		p->drain.backlog = most;
	if (p->drain.backlog < BACKLOG_MIN)
		p->drain.backlog = 0;
	p->used = used;
}

static void look_at_writes(struct levels *p, int64_t now, double dt_s)
{
	double rate = (double)(p->written - p->looked_written) / dt_s;

	p->drain.backlog = p->waited_ns - p->looked_waited_ns > (now - p->looked_ns) / 10;
	p->drain.rate = p->drain.rate < 0 ? rate : smooth(p->drain.rate, rate, dt_s, SMOOTH_S);
}

static void look(struct levels *p, int64_t now)
{
	double dt_s = (double)(now - p->looked_ns) / 1e9;

	if (now - p->looked_ns < LOOK_NS)
		return;
	if (p->room)
		look_at_space(p, now, dt_s);
	else
		look_at_writes(p, now, dt_s);
	p->looked_ns = now;
	p->looked_waited_ns = p->waited_ns;
	p->looked_written = p->written;
}

static void learn(struct levels *p, const struct encode_counts *done, int64_t now, int64_t cpu)
{
	struct adapt_stretch *s = &p->small;
	int64_t ns = now - p->begun_ns - (p->waited_ns - p->begun_waited_ns);

	if (p->workers && (cpu - p->begun_cpu_ns) / p->workers > ns)
		ns = (cpu - p->begun_cpu_ns) / p->workers;
	s->in += done->in - p->begun.in;
	s->out += done->out - p->begun.out;
	s->seconds += (double)ns / 1e9;
	/* Many small files are as good as one stretch. */
	if (s->in < LEARN_MIN)
		return;
	/* Workers are still busy with what they got before. */
	if (!p->workers || p->level == p->adapt.level)
		adapt_learn(&p->adapt, s);
	*s = (struct adapt_stretch){0};
}

static uint64_t stretch(const struct levels *p)
{
	double bytes = adapt_bytes(&p->adapt, STRETCH_S);
	double drained = adapt_input(&p->adapt, STRETCH_S * p->drain.rate);
	double most = p->drain.rate < 0 ? (double)STRETCH_BLIND : (double)STRETCH_MAX;

	/* While it waits for room, the drain sets its speed. */
	if (p->drain.backlog > 0 && p->drain.rate >= 0 && drained < most)
		most = drained;
	if (bytes > most)
		bytes = most;
	return bytes < (double)STRETCH_MIN ? STRETCH_MIN
					   : (uint64_t)bytes / STRETCH_MIN * STRETCH_MIN;
}

static int next(void *cookie, const struct encode_counts *done, uint64_t rest, uint64_t *length)
{
	struct levels *p = cookie;
	int64_t now = clock_ns(), cpu = clock_cpu_ns();

	if (done->in > p->begun.in)
		learn(p, done, now, cpu);
	look(p, now);
	p->level = p->adapt.level;
	adapt_choose(&p->adapt, &p->drain, rest == SOURCE_SIZE_UNKNOWN ? REST : (double)rest);
	if (p->level != p->adapt.level) {
		p->small = (struct adapt_stretch){0};
		log_debug("level %d: drain %.0f B/s, %.0f B to take", p->adapt.level, p->drain.rate,
			  p->drain.backlog);
	}
	p->begun = *done;
	p->begun_ns = now;
	p->begun_cpu_ns = cpu;
	p->begun_waited_ns = p->waited_ns;
	*length = stretch(p);
	return p->adapt.level;
}

void levels_init(struct levels *p, const struct adapt *adapt, int workers, const struct room *room,
		 bool whole)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct room_view view;

	*p = (struct levels){.hook = {.next = next, .cookie = p},
			     .adapt = *adapt,
			     .workers = workers > cpus ? (int)cpus : workers,
			     .room = room,
			     .whole = whole,
			     .drain = {.rate = -1, .whole = whole},
			     .looked_ns = clock_ns(),
			     .part = 1};
	if (room && adapt->max && room_look(room, &view) == 0)
		p->used = view.size - view.free;
	p->drain.backlog = (double)p->used;
}

void levels_input_done(struct levels *p, const struct encode_counts *done)
{
	if (done->in > p->begun.in)
		learn(p, done, clock_ns(), clock_cpu_ns());
	p->begun = (struct encode_counts){0};
}
