#include "guest/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A count: anything else ("N/A", a sign, a tail) leaves the last one. */
static void take_count(int64_t *out, const char *value)
{
	char *end;
	long long n;

	value += strspn(value, " ");
	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno == 0 && end != value && *end == '\0' && n >= 0 && n <= PROGRESS_COUNT_MAX)
		*out = n;
}

/* "1.53x". */
static void take_speed(double *out, const char *value)
{
	char *end;
	double speed;

	value += strspn(value, " ");
	if (strspn(value, "0123456789.") == 0)
		return;
	speed = strtod(value, &end);
	if (strcmp(end, "x") == 0 && speed >= 0 && speed < 1e6)
		*out = speed;
}

static void take_line(struct progress *p, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	if (strcmp(line, "frame") == 0)
		take_count(&p->frames, value);
	else if (strcmp(line, "out_time_us") == 0)
		take_count(&p->out_time_us, value);
	else if (strcmp(line, "total_size") == 0)
		take_count(&p->bytes, value);
	else if (strcmp(line, "speed") == 0)
		take_speed(&p->speed, value);
	if (strcmp(line, "progress") != 0)
		return;
	p->blocks++;
	p->ended = strcmp(value, "end") == 0;
}

static void take_byte(struct progress *p, char c)
{
	if (c == '\n' || c == '\r') {
		p->line[p->used] = '\0';
		if (!p->skip)
			take_line(p, p->line);
		p->used = 0;
		p->skip = false;
	} else if (p->used + 1 == sizeof(p->line) || c == '\0') {
		p->skip = true;
	} else {
		p->line[p->used++] = c;
	}
}

void progress_feed(struct progress *p, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		take_byte(p, data[i]);
}
