#include "host/survey.h"

#include "host/conn.h"

/* Of an object that is being sent, what is there and not in the socket. */
static uint64_t left_of(const struct conn *c)
{
	const int64_t end = c->open_ended ? c->object->st.st_size : c->end;

	return end > c->at ? (uint64_t)(end - c->at) : 0;
}

static void count(const struct conn *c)
{
	struct survey_now *now = &c->object->site->survey;

	now->clients++;
	now->edge += !list_empty(&c->waiting);
	now->backlog += left_of(c);
}

static void look(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, survey_timer);

	for (size_t i = 0; i < w->sites.count; i++)
		w->sites.site[i].survey = (struct survey_now){0};
	for (const struct list *l = w->conns.next; l != &w->conns; l = l->next) {
		const struct conn *c = list_entry(l, struct conn, all);

		if (c->object)
			count(c);
	}
	rtsp_survey(&w->rtsp);
	if (w->conn_count + w->rtsp.count > 0)
		survey_expect(w);
}

void survey_init(struct worker *w)
{
	w->survey_timer.fire = look;
}

void survey_expect(struct worker *w)
{
	if (!w->survey_timer.slot)
		loop_timer_set(&w->loop, &w->survey_timer, w->loop.now_ns + SURVEY_NS);
}

/* A space that nobody asks for is not open in any worker, and nothing of it is released. */
struct survey survey_of(struct server *server, size_t i)
{
	struct survey sum = {0};
	dev_t dev = 0;

	for (unsigned k = 0; k < server->options.workers; k++) {
		const struct site *site = &server->workers[k].sites.site[i];

		sum.sent += site->sent;
		sum.stalls += site->stalls;
		sum.now.clients += site->survey.clients;
		sum.now.edge += site->survey.edge;
		sum.now.rtsp += site->survey.rtsp;
		sum.now.backlog += site->survey.backlog;
		if (!dev)
			dev = site->dev;
	}
	if (dev)
		sum.released = release_of(&server->release, dev);
	return sum;
}
