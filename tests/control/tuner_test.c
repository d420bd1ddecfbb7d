/* The loop over eight spaces: its decisions recorded and played again, and the memory it takes. */
#include "control/tuner.h"

#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/json.h"
#include "control/recording.h"
#include "control/replay.h"
#include "space/layout.h"
#include "space/record.h"
#include "tests/scratch.h"
#include "tests/space/namespace.h"
#include "tests/tap.h"

#define MB     UINT64_C(1048576)
#define SPACES 8
#define LOOKS  40

static atomic_ulong allocations;

#ifdef __SANITIZE_ADDRESS__

int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *, size_t),
					      void (*free_hook)(const volatile void *));

static void count_allocation(const volatile void *piece, size_t size)
{
	(void)piece, (void)size;
	allocations++;
}

static void count_nothing(const volatile void *piece)
{
	(void)piece;
}

static void count_allocations(void)
{
	__sanitizer_install_malloc_and_free_hooks(count_allocation, count_nothing);
}

#else

/* In place of the C library's, also for its own use (fopen, opendir): what is taken stays taken. */
static char heap[64 * 1024 * 1024] __attribute__((aligned(16)));
static atomic_size_t heap_used;

void *malloc(size_t size)
{
	size_t room = (size + 31) / 16 * 16; /* and its size before it */
	size_t at = atomic_fetch_add(&heap_used, room) + 16;

	allocations++;
	if (at - 16 + room > sizeof(heap))
		abort();
	memcpy(heap + at - sizeof(size), &size, sizeof(size));
	return heap + at;
}

void free(void *piece)
{
	(void)piece;
}

void *calloc(size_t n, size_t size)
{
	return malloc(n * size); /* which nobody had before */
}

void *realloc(void *piece, size_t size)
{
	void *larger = malloc(size);
	size_t before = 0;

	if (piece)
		memcpy(&before, (char *)piece - sizeof(before), sizeof(before));
	return memcpy(larger, piece ? piece : larger, before < size ? before : size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	(void)alignment, (void)size;
	abort(); /* by nobody */
}

static void count_allocations(void)
{
}

#endif

static const char runtime[] = "/tmp/run", file[] = "/tmp/recording";
static struct tuner_wish wishes[SPACES];
static struct tuner_config config;
static struct loop loop;
static struct tuner tuner;
static struct recording recording;
static unsigned int looks, decisions;
static unsigned long allocations_before;

static void space_path(char path[64], size_t i)
{
	snprintf(path, 64, "%s/vm%zu/out", runtime, i);
}

static void make_spaces(void)
{
	char path[64];

	mkdir(runtime, 0700);
	for (size_t i = 0; i < SPACES; i++) {
		struct tuner_wish *w = &wishes[i];
		int fd;

		snprintf(path, sizeof(path), "%s/vm%zu", runtime, i);
		mkdir(path, 0700);
		space_path(path, i);
		mkdir(path, 0700);
		mount("test", path, "tmpfs", 0, "size=64m,nr_inodes=4096");
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		space_prepare(fd);
		close(fd);
		snprintf(w->name.vm, sizeof(w->name.vm), "vm%zu", i);
		strcpy(w->name.space, "out");
		w->wish = (struct control_wish){.min_bytes = 16 * MB,
						.max_bytes = 256 * MB,
						.weight = 1,
						.slo_ns = 8000000000,
						.slo_share = 0.95};
	}
	config = (struct tuner_config){
		.tuning = control_tuning_default(), .space = wishes, .nspaces = SPACES};
	config.tuning.period_ns = 50000000;
	config.tuning.guard_ns = 10000000;
	config.tuning.budget_bytes = 512 * MB;
	config.energy = meter_defaults();
}

/* A job of each space: an object comes or goes, and a record. */
static void work(unsigned int round)
{
	static char piece[MB];
	char path[128], text[RECORD_MAX];
	struct record r = {
		.id = "job", .start_ns = 1, .end_ns = 1000, .bytes_out = 4096, .objects = 1};
	int n = record_format(&r, text, sizeof(text));

	for (size_t i = 0; i < SPACES; i++) {
		int fd;

		space_path(path, i);
		strcat(path, round % 4 == 3 ? "/.memnet/jobs/job.json" : "/object");
		if (round % 4 == 1) {
			unlink(path);
			continue;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (round % 4 == 3)
			(void)!write(fd, text, (size_t)n);
		else
			(void)!write(fd, piece, MB);
		close(fd);
	}
}

static void looked(struct tuner *t, int64_t now_ns)
{
	recording_add(&recording, now_ns, t->facts);
}

static void decided(struct tuner *t, const struct tuner_decision *d)
{
	(void)t;
	decisions++;
	if (d->facts->size_bytes < d->facts->used_bytes)
		ok(false, "no size below the use");
}

static void ticked(struct tuner *t, bool period)
{
	(void)period;
	if (++looks == LOOKS / 2)
		allocations_before = allocations;
	if (looks == LOOKS)
		loop_stop(t->loop);
	work(looks);
}

static void run(void)
{
	static char memory[65536] __attribute__((aligned(16)));
	struct mn_error e = MN_ERROR_INIT;
	uint64_t sum = 0;

	json_use_memory(memory, sizeof(memory));
	count_allocations();
	is_int(loop_init(&loop), 0, "a loop");
	is_int(recording_create(&recording, file, &config, &e), 0, "a recording");
	tuner.looked = looked;
	tuner.decided = decided;
	tuner.ticked = ticked;
	is_int(tuner_open(&tuner, &loop, runtime, &config, false, &e), 0, "a tuner %s", e.text);
	is_int(loop_run(&loop), 0, "run for %d looks", LOOKS);
	ok(decisions >= SPACES * LOOKS / 5, "every space was decided upon each period");
	ok(allocations_before > 0, "memory was taken at the start: %lu pieces", allocations_before);
	is_int((intmax_t)(allocations - allocations_before), 0,
	       "none is taken from then on, records and all");
	for (size_t i = 0; i < SPACES; i++)
		sum += tuner.facts[i].size_bytes;
	ok(sum <= 512 * MB, "within the budget");
	is_int(recording_close(&recording), 0, "the recording is whole");
	tuner_close(&tuner);
	loop_fini(&loop);
}

static void play(void)
{
	struct replay_spec spec = {.policy = SIMULATE_MEMNET};
	struct replay_result result;
	struct mn_error e = MN_ERROR_INIT;

	is_int(replay(file, &spec, &result, &e), 0, "played again %s", e.text);
	is_int(result.looks, LOOKS, "look for look");
	ok(result.differs_s < 0, "every decision is the one that was made");
	ok(result.total.jobs > 0, "with its jobs");
	ok(result.total.peak_bytes <= 512 * MB, "within the budget");
	replay_close(&result);
	spec.policy = SIMULATE_STATIC;
	spec.static_bytes = 32 * MB;
	is_int(replay(file, &spec, &result, &e), 0, "and by a static size");
	ok(result.differs_s >= 0 && result.differs_s < 1, "which differs from the start");
	is_int((intmax_t)result.space[0].peak_bytes, 32 * MB, "which it keeps");
	replay_close(&result);
}

static void cut_short(void)
{
	struct replay_spec spec = {.policy = SIMULATE_MEMNET};
	struct replay_result result;
	struct mn_error e = MN_ERROR_INIT;
	struct stat st;

	stat(file, &st);
	(void)!truncate(file, st.st_size - 7);
	is_int(replay(file, &spec, &result, &e), 0, "a recording cut off in a line is played");
	replay_close(&result);
	scratch_file(AT_FDCWD, file, "memnet-recording 1\nnonsense\n", 28);
	ok(replay(file, &spec, &result, &e) < 0, "one that is none is refused: %s", e.text);
	replay_close(&result);
}

int main(void)
{
	namespace_enter();
	make_spaces();
	run();
	play();
	cut_short();
	return done_testing();
}
