#include "energy/perf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "energy/attribute.h"

static int read_line(int rootfd, const char *file, char *buf, size_t size, struct mn_error *e)
{
	int err = attribute_read_at(rootfd, file, buf, size);

	return err ? mn_fail_errno(e, -err, "%s", file) : 0;
}

static int parse_u32(const char *text, char **end, int base, uint32_t *value)
{
	unsigned long long v;

	if (!isxdigit((unsigned char)*text))
		return -EBADMSG;
	errno = 0;
	v = strtoull(text, end, base);
	if (errno || v > UINT32_MAX || *end == text)
		return -EBADMSG;
	*value = (uint32_t)v;
	return 0;
}

int perf_parse_cpus(const char *list, int *cpu, size_t room)
{
	uint32_t from, to;
	size_t n = 0;
	char *end;

	for (;; list = end + 1) {
		if (parse_u32(list, &end, 10, &from))
			return -EBADMSG;
		to = from;
		if (*end == '-' && (parse_u32(end + 1, &end, 10, &to) || to < from))
			return -EBADMSG;
		if (to > INT32_MAX || to - from >= room - n)
			return -E2BIG;
		while (from <= to)
			cpu[n++] = (int)from++;
		if (!*end)
			return (int)n;
		if (*end != ',')
			return -EBADMSG;
	}
}

/* The PMU as its folder describes it. */
struct pmu {
	int rootfd;
	uint32_t type;
	int cpu[PERF_COUNTERS];
	int cpus;
};

static int read_pmu(struct pmu *pmu, struct mn_error *e)
{
	char text[512], *end;
	int err = read_line(pmu->rootfd, "type", text, sizeof(text), e);

	if (err)
		return err;
	if (parse_u32(text, &end, 10, &pmu->type) || *end)
		return mn_fail_errno(e, EBADMSG, "type");
	err = read_line(pmu->rootfd, "cpumask", text, sizeof(text), e);
	if (err)
		return err;
	pmu->cpus = perf_parse_cpus(text, pmu->cpu, PERF_COUNTERS);
	return pmu->cpus < 0 ? mn_fail_errno(e, -pmu->cpus, "cpumask") : 0;
}

/* "event=0x02", which stands in the low bits of config (format/event: config:0-7). */
static int read_config(const struct pmu *pmu, const char *event, uint32_t *config,
		       struct mn_error *e)
{
	char file[64], text[64], *end;
	int err;

	snprintf(file, sizeof(file), "events/%s", event);
	err = read_line(pmu->rootfd, file, text, sizeof(text), e);
	if (err)
		return err;
	if (strncmp(text, "event=", 6) != 0 || parse_u32(text + 6, &end, 0, config) || *end)
		return mn_fail_errno(e, EBADMSG, "%s", file);
	return 0;
}

/* Joules of one count. */
static int read_scale(const struct pmu *pmu, const char *event, double *scale, struct mn_error *e)
{
	char file[64], text[64], *end;
	int err;

	snprintf(file, sizeof(file), "events/%s.unit", event);
	err = read_line(pmu->rootfd, file, text, sizeof(text), e);
	if (err)
		return err;
	if (strcmp(text, "Joules") != 0)
		return mn_fail_errno(e, EBADMSG, "%s", file);
	snprintf(file, sizeof(file), "events/%s.scale", event);
	err = read_line(pmu->rootfd, file, text, sizeof(text), e);
	if (err)
		return err;
	*scale = strtod(text, &end);
	if (end == text || *end || !isfinite(*scale) || *scale <= 0)
		return mn_fail_errno(e, EBADMSG, "%s", file);
	return 0;
}

static int event_open(uint32_t type, uint64_t config, int cpu)
{
	struct perf_event_attr attr = {.size = sizeof(attr), .type = type, .config = config};
	long fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int fail_open(struct mn_error *e, int err, const char *event, int cpu)
{
	if (err == -EACCES || err == -EPERM)
		return mn_fail(e, MN_FAILED, -err,
			       "%s: permission denied (run as root or with CAP_PERFMON)", event);
	return mn_fail_errno(e, -err, "%s on CPU %d", event, cpu);
}

/* Opens the event on each package's CPU. */
static int add_event(struct perf *p, const struct pmu *pmu, const char *event, struct mn_error *e)
{
	uint32_t config = 0;
	double scale = 0;
	int err = read_config(pmu, event, &config, e);

	if (!err)
		err = read_scale(pmu, event, &scale, e);
	for (int i = 0; !err && i < pmu->cpus; i++) {
		int fd = -E2BIG;

		if (p->count < PERF_COUNTERS)
			fd = event_open(pmu->type, config, pmu->cpu[i]);
		if (fd < 0)
			return fail_open(e, fd, event, pmu->cpu[i]);
		p->counter[p->count++] = (struct perf_counter){.fd = fd, .scale = scale};
	}
	return err;
}

static bool has_event(const struct pmu *pmu, const char *event)
{
	char file[64];

	snprintf(file, sizeof(file), "events/%s", event);
	return faccessat(pmu->rootfd, file, F_OK, 0) == 0;
}

static int add_all(struct perf *p, const struct pmu *pmu, struct mn_error *e)
{
	int err;

	if (!has_event(pmu, "energy-pkg"))
		return add_event(p, pmu, "energy-psys", e);
	err = add_event(p, pmu, "energy-pkg", e);
	if (!err && has_event(pmu, "energy-ram"))
		err = add_event(p, pmu, "energy-ram", e);
	return err;
}

int perf_open(struct perf *p, const char *root, struct mn_error *e)
{
	cleanup_fd int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pmu pmu = {.rootfd = rootfd};
	int err;

	*p = (struct perf){0};
	if (rootfd < 0)
		return mn_fail_errno(e, errno, "%s", root);
	err = read_pmu(&pmu, e);
	if (!err)
		err = add_all(p, &pmu, e);
	if (err)
		mn_error_prefix(e, "%s", root);
	return err;
}

void perf_close(struct perf *p)
{
	for (size_t i = 0; i < p->count; i++)
		close(p->counter[i].fd);
	p->count = 0;
}

/* Whether the counter could be read: at its end it says so with no byte at all. */
static bool read_counter(struct perf *p, struct perf_counter *c)
{
	uint64_t now;

	if (io_read_full(c->fd, &now, sizeof(now)) != sizeof(now)) {
		p->gaps++;
		return false;
	}
	p->joules += (double)(now - c->last) * c->scale;
	c->last = now;
	return true;
}

int perf_read(struct perf *p)
{
	size_t seen = 0;

	for (size_t i = 0; i < p->count; i++)
		seen += read_counter(p, &p->counter[i]);
	return seen > 0 ? 0 : -ENODEV;
}
