#include "control/vcpus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "control/process.h"
#include "qmp/qmp.h"

/* ---- a thread's times ---- */

struct thread_times {
	uint64_t cpu_ns, delay_ns;
	bool known, delay_known;
};

/* By the length received: the structure grows with the kernel. */
static bool field(const void *stats, size_t size, size_t offset, uint64_t *value)
{
	if (offset + sizeof(*value) > size)
		return false;
	memcpy(value, (const char *)stats + offset, sizeof(*value));
	return true;
}

static void take_stats(void *cookie, const struct nlmsghdr *message)
{
	struct thread_times *t = cookie;
	size_t size, found;
	const void *both = netlink_attribute(message, sizeof(struct genlmsghdr),
					     TASKSTATS_TYPE_AGGR_PID, &size);
	const void *stats = both ? netlink_nested(both, size, TASKSTATS_TYPE_STATS, &found) : NULL;
	uint64_t times = 0, user_us = 0, system_us = 0;

	if (!stats)
		return;
	if (field(stats, found, offsetof(struct taskstats, cpu_count), &times) && times) {
		t->delay_known = field(stats, found, offsetof(struct taskstats, cpu_delay_total),
				       &t->delay_ns);
		t->known = field(stats, found, offsetof(struct taskstats, cpu_run_real_total),
				 &t->cpu_ns);
	} else if (field(stats, found, offsetof(struct taskstats, ac_utime), &user_us) &&
		   field(stats, found, offsetof(struct taskstats, ac_stime), &system_us)) {
		t->cpu_ns = (user_us + system_us) * 1000;
		t->known = true;
	}
}

static struct thread_times ask_taskstats(struct task_times *times, int tid)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr command;
		struct nlattr attribute;
		uint32_t tid;
	} request = {
		.head = {.nlmsg_len = sizeof(request), .nlmsg_type = (uint16_t)times->family},
		.command = {.cmd = TASKSTATS_CMD_GET, .version = TASKSTATS_GENL_VERSION},
		.attribute = {sizeof(struct nlattr) + sizeof(uint32_t), TASKSTATS_CMD_ATTR_PID},
		.tid = (uint32_t)tid,
	};
	struct thread_times t = {0};

	if (times->family >= 0)
		netlink_ask(&times->netlink, &request.head, take_stats, &t);
	return t;
}

/* "CPU_NS DELAY_NS SLICES" */
static struct thread_times read_schedstat(int tid)
{
	struct thread_times t = {0};
	char path[40], text[80], *next;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	if (io_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return t;
	t.cpu_ns = strtoull(text, &next, 10);
	t.delay_ns = strtoull(next, &next, 10);
	t.known = true;
	t.delay_known = t.cpu_ns > 0;
	return t;
}

void task_times_open(struct task_times *times)
{
	struct thread_times self;

	times->family = -1;
	if (netlink_open(&times->netlink, NETLINK_GENERIC) == 0)
		times->family = netlink_family(&times->netlink, TASKSTATS_GENL_NAME);
	self = ask_taskstats(times, getpid());
	if (self.delay_known)
		return;
	times->schedstat = read_schedstat(getpid()).delay_known;
	log_debug("taskstats tells no run-queue delay (kernel.task_delayacct): %s",
		  times->schedstat ? "taken from /proc/TID/schedstat" : "done without");
}

void task_times_close(struct task_times *times)
{
	netlink_close(&times->netlink);
}

/* ---- which threads ---- */

/* In the child: the threads' ids, as an array of int. */
static void ask_monitor(const char *monitor, int to)
{
	struct mn_error e = MN_ERROR_INIT;
	cleanup_json cJSON *reply = NULL;
	const cJSON *cpu;
	struct qmp *q;

	if (qmp_open(monitor, clock_ns() + VCPUS_ASK_NS, &q, &e) ||
	    qmp_call(q, "query-cpus-fast", NULL, &reply, &e))
		return;
	cJSON_ArrayForEach (cpu, reply) {
		int64_t tid;
		int id;

		if (json_integer(cpu, "thread-id", 1, INT32_MAX, &tid))
			continue;
		id = (int)tid;
		if (write(to, &id, sizeof(id)) != sizeof(id))
			return;
	}
}

static void end_question(struct vcpus *v)
{
	if (v->answer.fd < 0)
		return;
	loop_remove(v->loop, &v->answer);
	close(v->answer.fd);
	v->answer.fd = -1;
	waitpid(v->child, NULL, 0); /* it has closed its end, and does nothing more */
}

static void answer_ready(struct watch *w, uint32_t events)
{
	struct vcpus *v = container_of(w, struct vcpus, answer);
	ssize_t n = read(w->fd, v->tid, sizeof(v->tid));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	v->count = n > 0 ? (unsigned int)((size_t)n / sizeof(int)) : 0;
	v->since_ns = 0;
	end_question(v);
}

/* All ids come in one piece: a pipe takes 4096 bytes at once, and we read when it is closed. */
static void ask_child(struct vcpus *v)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	v->child = fork();
	if (v->child == 0) {
		process_isolate(&ends[1], 1);
		json_use_memory(NULL, 0); /* the monitor's client gives back by free() */
		ask_monitor(v->monitor, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	v->answer.fd = ends[0];
	if (v->child > 0 && loop_add(v->loop, &v->answer, EPOLLHUP) == 0)
		return;
	close(ends[0]);
	v->answer.fd = -1;
}

void vcpus_init(struct vcpus *v, struct loop *loop, const char *monitor)
{
	memset(v, 0, sizeof(*v));
	v->loop = loop;
	v->answer = (struct watch){-1, answer_ready};
	snprintf(v->monitor, sizeof(v->monitor), "%s", monitor);
}

void vcpus_adopt(struct vcpus *v, const struct vcpus *from)
{
	if (strcmp(v->monitor, from->monitor) != 0)
		return;
	memcpy(v->tid, from->tid, sizeof(v->tid));
	v->count = from->count;
	v->since_ns = from->since_ns;
	v->cpu_ns = from->cpu_ns;
	v->delay_ns = from->delay_ns;
	v->busy = from->busy;
	v->delayed = from->delayed;
	v->cpu_total_s = from->cpu_total_s;
	v->delay_total_s = from->delay_total_s;
}

void vcpus_close(struct vcpus *v)
{
	if (!v->loop || v->answer.fd < 0)
		return;
	kill(v->child, SIGKILL); /* it may wait for a monitor that thinks */
	end_question(v);
}

/* ---- a period ---- */

static bool sum_up(struct vcpus *v, struct task_times *times, struct thread_times *sum)
{
	*sum = (struct thread_times){.known = true, .delay_known = true};
	for (unsigned int i = 0; i < v->count; i++) {
		struct thread_times t = times->schedstat || times->family < 0
						? read_schedstat(v->tid[i])
						: ask_taskstats(times, v->tid[i]);

		if (!t.known)
			return false;
		sum->cpu_ns += t.cpu_ns;
		sum->delay_ns += t.delay_ns;
	}
	return true;
}

static void take_sum(struct vcpus *v, const struct thread_times *sum, int64_t now_ns)
{
	double cpu_ns = (double)(int64_t)(sum->cpu_ns - v->cpu_ns);
	double delay_ns = (double)(int64_t)(sum->delay_ns - v->delay_ns);
	double all_ns = (double)(now_ns - v->since_ns) * v->count;

	if (v->since_ns && all_ns > 0 && cpu_ns >= 0 && delay_ns >= 0) {
		v->busy = cpu_ns / all_ns < 1 ? cpu_ns / all_ns : 1;
		v->delayed = delay_ns / all_ns;
		v->cpu_total_s += cpu_ns / 1e9;
		v->delay_total_s += delay_ns / 1e9;
	}
	v->cpu_ns = sum->cpu_ns;
	v->delay_ns = sum->delay_ns;
	v->since_ns = now_ns;
}

void vcpus_look(struct vcpus *v, struct task_times *times, int64_t now_ns)
{
	struct thread_times sum;

	if (v->count && sum_up(v, times, &sum)) {
		take_sum(v, &sum, now_ns);
		return;
	}
	v->count = 0;
	v->busy = v->delayed = 0;
	if (v->answer.fd >= 0 || now_ns < v->retry_ns)
		return;
	if (v->monitor[0] == '/' && access(v->monitor, F_OK) < 0)
		return; /* not running */
	v->retry_ns = now_ns + VCPUS_RETRY_NS;
	ask_child(v);
}
