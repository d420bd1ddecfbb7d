#include "control/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "control/pacing.h"
#include "control/process.h"
#include "space/layout.h"
#include "space/pool.h"
#include "space/space.h"

/* How long the child waits for another command that is at work on a pool. */
#define POOL_WAIT_NS (5 * NS_PER_S)

/* Two halves, so that one is whole at any instant at which the controller may die. */
struct watchdog_table {
	atomic_uint current;
	uint64_t budget_bytes[2];
	struct watchdog_row row[]; /* of half 0, then of half 1 */
};

static size_t table_size(size_t nspaces)
{
	return sizeof(struct watchdog_table) + 2 * nspaces * sizeof(struct watchdog_row);
}

/* What it has been filled with beyond *size_bytes, and what comes in a moment, if that is less than
 * it has. */
static bool filled_beyond(const struct place *place, uint64_t *size_bytes)
{
	struct place now = *place;
	uint64_t size;

	if (place_look(&now) != PLACE_SAME)
		return false;
	size = now.info.used_bytes + SPACE_PIECE;
	if (size <= *size_bytes || size >= now.info.size_bytes)
		return false;
	*size_bytes = size;
	return true;
}

int place_resize(const char *runtime_dir, const struct place *place, uint64_t *size_bytes,
		 int64_t wait_ns)
{
	struct tmpfs_options o = {.size_bytes = *size_bytes};
	cleanup_fd int lock = pool_lock(runtime_dir, place->info.name.vm, wait_ns, NULL);
	int err;

	if (lock < 0)
		return lock;
	err = space_resize(&place->info, &o, NULL);
	if (err == -EINVAL && filled_beyond(place, &o.size_bytes))
		err = space_resize(&place->info, &o, NULL);
	if (!err)
		*size_bytes = o.size_bytes;
	return err;
}

static bool meant(struct place *place, const struct watchdog_row *row)
{
	return place_look(place) != PLACE_ABSENT && place->info.device == row->device &&
	       row->size_bytes;
}

static unsigned int set_size(const char *runtime_dir, struct place *place, uint64_t size_bytes,
			     int64_t wait_ns)
{
	if (place_resize(runtime_dir, place, &size_bytes, wait_ns))
		return 0;
	place->info.size_bytes = size_bytes;
	return 1;
}

static uint64_t grown(const struct place *place, const struct watchdog_row *row, uint64_t room)
{
	uint64_t more = row->size_bytes - place->info.size_bytes;

	return place->info.size_bytes + (more < room ? more : room) / 4096 * 4096;
}

unsigned int watchdog_apply(const char *runtime_dir, struct place *const places[],
			    const struct watchdog_row rows[], size_t nspaces, uint64_t budget_bytes,
			    int64_t wait_ns)
{
	uint64_t budget = budget_bytes ? budget_bytes : UINT64_MAX, sum = 0;
	unsigned int made = 0;

	for (size_t i = 0; i < nspaces; i++) {
		struct place *place = places[i];

		if (meant(place, &rows[i]) && rows[i].size_bytes < place->info.size_bytes)
			made += set_size(runtime_dir, place, rows[i].size_bytes, wait_ns);
		sum += place->present ? place->info.size_bytes : 0;
	}
	for (size_t i = 0; i < nspaces; i++) {
		struct place *place = places[i];
		uint64_t before = place->info.size_bytes, size;

		if (!meant(place, &rows[i]) || rows[i].size_bytes <= place->info.size_bytes)
			continue;
		size = grown(place, &rows[i], sum < budget ? budget - sum : 0);
		if (size > before && set_size(runtime_dir, place, size, wait_ns)) {
			sum += size - before;
			made++;
		}
	}
	return made;
}

/* ---- the child ---- */

static void watch(struct watchdog *w, const char *runtime_dir, struct place *const places[],
		  int readfd)
{
	const struct watchdog_table *table = w->table;
	unsigned int half, made;
	char word;

	if (io_read_full(readfd, &word, 1) != 0)
		return;
	half = atomic_load(&table->current);
	made = watchdog_apply(runtime_dir, places, table->row + half * w->nspaces, w->nspaces,
			      table->budget_bytes[half], POOL_WAIT_NS);
	for (size_t i = 0; i < w->nspaces; i++)
		if (places[i]->present)
			pacing_end(places[i]);
	log_warn("the controller died: %u of %zu spaces given the size that is safe without it",
		 made, w->nspaces);
}

/* ---- the controller's side ---- */

/* Its name is what an administrator sees in ps(1). */
static void isolate(int pipefd, const int keepfds[], size_t n)
{
	int keep[WATCHDOG_SPACES_MAX + 1];

	memcpy(keep, keepfds, n * sizeof(*keep));
	keep[n] = pipefd;
	process_isolate(keep, n + 1);
	prctl(PR_SET_NAME, "memnet-watchdog");
}

static int fork_child(struct watchdog *w, const char *runtime_dir, struct place *const places[],
		      const int keepfds[])
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	w->pid = fork();
	if (w->pid == 0) {
		isolate(ends[0], keepfds, w->nspaces);
		watch(w, runtime_dir, places, ends[0]);
		_exit(0);
	}
	close(ends[0]);
	w->pipefd = ends[1];
	return w->pid < 0 ? -errno : 0;
}

int watchdog_start(struct watchdog *w, const char *runtime_dir, struct place *const places[],
		   const int keepfds[], size_t nspaces, struct mn_error *e)
{
	int err;

	*w = (struct watchdog){.pipefd = -1, .nspaces = nspaces};
	w->table = mmap(NULL, table_size(nspaces), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->table == MAP_FAILED) {
		w->table = NULL;
		return mn_fail_errno(e, errno, "watchdog");
	}
	err = fork_child(w, runtime_dir, places, keepfds);
	if (!err)
		return 0;
	watchdog_stop(w);
	return mn_fail_errno(e, -err, "watchdog");
}

void watchdog_tell(struct watchdog *w, const struct watchdog_row rows[], uint64_t budget_bytes)
{
	struct watchdog_table *table = w->table;
	unsigned int half;

	if (!table)
		return;
	half = !atomic_load(&table->current);
	memcpy(table->row + half * w->nspaces, rows, w->nspaces * sizeof(*rows));
	table->budget_bytes[half] = budget_bytes;
	atomic_store(&table->current, half);
}

bool watchdog_died(struct watchdog *w)
{
	if (w->pid <= 0 || waitpid(w->pid, NULL, WNOHANG) == 0)
		return false;
	w->pid = 0;
	close(w->pipefd);
	w->pipefd = -1;
	return true;
}

void watchdog_stop(struct watchdog *w)
{
	int status;

	if (w->pipefd >= 0) {
		(void)io_write_all(w->pipefd, "", 1);
		close(w->pipefd);
	}
	if (w->pid > 0)
		while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
			;
	if (w->table)
		munmap(w->table, table_size(w->nspaces));
	*w = (struct watchdog){.pipefd = -1};
}
