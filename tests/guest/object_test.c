/* Objects on their way into a full space: from the exact byte, one after the other, and killed
 * ones. */
#include "guest/object.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/space/namespace.h"

#define SPACE "/tmp/space"

static int root;
static char data[3 << 20];

static void resize(const char *size)
{
	char option[32];

	snprintf(option, sizeof(option), "size=%s", size);
	if (mount("space", SPACE, "tmpfs", MS_REMOUNT, option) < 0)
		diag("cannot resize to %s", size);
}

static bool there(const char *path)
{
	return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool holds(const char *path, size_t size)
{
	static char got[sizeof(data) + 1];
	int fd = openat(root, path, O_RDONLY);
	ssize_t n = read(fd, got, sizeof(got));

	close(fd);
	return n == (ssize_t)size && memcmp(got, data, size) == 0;
}

static struct job job_of(int64_t max_wait_ns)
{
	struct job j;

	if (job_begin(&j, SPACE, RECORD_COMPRESS, max_wait_ns, NULL))
		diag("no job");
	return j;
}

static void one_object(void)
{
	struct job j = job_of(0);
	struct object o;

	is_int(object_begin(&o, &j, "a/b", false, false), 0, "an object begins");
	is_int(object_write(&o, data, 1000), 0, "takes bytes");
	is_int(object_write(&o, data + 1000, 500000), 0, "and more");
	ok(!there("a"), "is not seen");
	is_int(object_commit(&o), 0, "until it is committed");
	ok(holds("a/b", 501000), "and then it is whole");
	object_abort(&o);
	ok(there("a/b"), "an abort behind that takes nothing away");
	is_int(object_begin(&o, &j, "a/b", false, false), -EEXIST, "its name is taken");
	is_int(object_begin(&o, &j, ".memnet/x", false, false), -EINVAL, "another is reserved");
	is_int(object_begin(&o, &j, "c", false, false), 0, "one that is given up");
	object_write(&o, data, 1000);
	object_abort(&o);
	ok(!there("c"), "is not there");
	unlinkat(root, "a/b", 0);
	job_end(&j, RECORD_DONE);
}

/* Makes room while the object waits, 4 KiB at a time at first. */
static void *make_room(void *cookie)
{
	struct object *o = cookie;
	struct room_view view;
	char size[32];

	do
		room_look(&o->job->room, &view);
	while (view.free > 0);
	for (unsigned kb = 300; kb <= 600; kb += 4) {
		snprintf(size, sizeof(size), "%uk", kb);
		resize(size);
		usleep(200);
	}
	resize("8m");
	return NULL;
}

static void exact_byte(void)
{
	struct job j = job_of(0);
	struct object o;
	pthread_t thread;

	resize("300k");
	object_begin(&o, &j, "x", false, false);
	pthread_create(&thread, NULL, make_room, &o);
	is_int(object_write(&o, data, sizeof(data)), 0, "a space that grows by pages");
	is_int(object_commit(&o), 0, "gets all of it");
	pthread_join(thread, NULL);
	ok(holds("x", sizeof(data)), "each byte once");
	ok(j.room.blocked_ns > 0, "and the time it waited is known");
	unlinkat(root, "x", 0);
	job_end(&j, RECORD_DONE);
}

static void gives_up(void)
{
	struct job j = job_of(50 * NS_PER_MS);
	struct object o;

	resize("300k");
	object_begin(&o, &j, "x", false, false);
	is_int(object_write(&o, data, sizeof(data)), -ETIMEDOUT, "no room within max_wait");
	object_abort(&o);
	resize("8m");
	ok(!there("x"), "nothing is seen");
	is_int(object_begin(&o, &j, "x", false, false), 0, "the job can go on");
	object_write(&o, data, sizeof(data));
	is_int(object_commit(&o), 0, "with another");
	unlinkat(root, "x", 0);
	job_end(&j, RECORD_DONE);
}

static void emptied(void)
{
	struct job j = job_of(0), second;
	struct object o;

	object_begin(&o, &j, "x", false, false);
	object_write(&o, data, sizeof(data));
	renameat(root, SPACE_RESERVED, root, "gone");
	is_int(object_commit(&o), 0, "the host empties the space within an object");
	ok(holds("x", sizeof(data)), "which is whole all the same");
	renameat(root, SPACE_RESERVED, root, "gone2");
	is_int(object_begin(&o, &j, "y", false, false), 0, "or between two of them");
	object_write(&o, data, 1000);
	is_int(object_commit(&o), 0, "and the second");
	ok(holds("y", 1000), "is there");
	is_int(object_begin(&o, &j, "z", false, false), 0, "or within the bytes of one");
	object_write(&o, data, 1000);
	ok(system("find " SPACE "/.memnet -mindepth 1 -delete") == 0, "of which nothing is left");
	is_int(object_write(&o, data + 1000, 500000), 0, "takes the others");
	second = job_of(0);
	is_int(object_commit(&o), 0, "also where another job cleans up meanwhile");
	ok(holds("z", 501000), "and is whole");
	job_end(&second, RECORD_DONE);
	unlinkat(root, "x", 0);
	unlinkat(root, "y", 0);
	unlinkat(root, "z", 0);
	ok(system("rm -r " SPACE "/gone " SPACE "/gone2") == 0, "what it took away is gone");
	job_end(&j, RECORD_DONE);
}

/* Whoever replaces an object does not do so under one that writes it, nor leaves a dead one's
 * marker at it. */
static void live_name(void)
{
	struct job j = job_of(0), second = job_of(0);
	struct object o, other;

	object_begin(&o, &j, "x", false, true);
	object_begin(&other, &second, "x", true, false);
	object_write(&other, data, 1000);
	is_int(object_commit(&other), -EEXIST, "a name that another job writes live");
	is_int(object_write(&o, data, 500), 0, "which goes on");
	is_int(object_commit(&o), 0, "and ends");
	ok(holds("x", 500), "with its own");
	scratch_file(root, SPACE_LIVE "/x", "\n", 1);
	is_int(object_commit(&other), 0, "the same name with a dead one's marker");
	ok(!there(SPACE_LIVE "/x"), "loses that");
	job_end(&second, RECORD_DONE);
	second = job_of(0);
	ok(holds("x", 1000), "so that the next job takes it for no dead one's");
	job_end(&second, RECORD_DONE);
	job_end(&j, RECORD_DONE);
	unlinkat(root, "x", 0);
}

struct part {
	struct job job;
	struct object object;
	pthread_t thread;
	char name[8];
	int err;
};

static void *write_all(void *cookie)
{
	struct part *p = cookie;

	p->err = object_begin(&p->object, &p->job, p->name, false, false);
	for (size_t at = 0; at < sizeof(data) && !p->err; at += 1 << 18)
		p->err = object_write(&p->object, data + at, 1 << 18);
	if (!p->err)
		p->err = object_commit(&p->object);
	return NULL;
}

/* What none of them can finish while the others have something: each has the room in its turn. */
static void in_turns(void)
{
	struct part parts[3];
	int64_t until = clock_ns() + 300 * NS_PER_S;
	int taken = 0;

	resize("4m");
	for (int i = 0; i < 3; i++) { /* all of them first: one that finds no room waits for it */
		parts[i].job = job_of(0);
		snprintf(parts[i].name, sizeof(parts[i].name), "t%d", i);
	}
	for (int i = 0; i < 3; i++)
		pthread_create(&parts[i].thread, NULL, write_all, &parts[i]);
	while (taken < 3 && clock_ns() < until) {
		for (int i = 0; i < 3; i++) {
			if (!there(parts[i].name))
				continue;
			ok(holds(parts[i].name, sizeof(data)), "%s is whole", parts[i].name);
			unlinkat(root, parts[i].name, 0);
			taken++;
		}
		usleep(1000);
	}
	is_int(taken, 3, "three objects of 3 MB each through 4 MB");
	for (int i = 0; i < 3; i++) {
		pthread_join(parts[i].thread, NULL);
		is_int(parts[i].err, 0, "%s is done", parts[i].name);
		job_end(&parts[i].job, RECORD_DONE);
	}
}

/* The first place for what gives its room back is too small: the next one takes it. */
static void gives_way(void)
{
	struct part elder = {.name = "elder"};
	struct job j = job_of(0);
	struct object o;
	int64_t until = clock_ns() + 120 * NS_PER_S;

	elder.job = job_of(100 * NS_PER_S);
	resize("4m");
	mkdir("/tmp/small", 0700);
	mount("small", "/tmp/small", "tmpfs", 0, "size=64k");
	setenv("TMPDIR", "/tmp/small", 1);
	object_begin(&o, &j, "x", false, false);
	object_write(&o, data, sizeof(data) / 2);
	pthread_create(&elder.thread, NULL, write_all, &elder);
	while (!there("elder") && clock_ns() < until) {
		object_idle(&o);
		usleep(1000);
	}
	ok(there("elder"), "a job gives its room back to one that cannot go on");
	unlinkat(root, "elder", 0);
	pthread_join(elder.thread, NULL);
	is_int(object_commit(&o), 0, "and ends behind it");
	ok(holds("x", sizeof(data) / 2), "with its bytes");
	unlinkat(root, "x", 0);
	setenv("TMPDIR", "/tmp", 1);
	job_end(&elder.job, RECORD_DONE);
	job_end(&j, RECORD_DONE);
}

int main(void)
{
	uint32_t x = 1;

	namespace_enter();
	if (mkdir(SPACE, 0700) < 0 || mount("space", SPACE, "tmpfs", 0, "size=8m") < 0)
		return 1;
	setenv("TMPDIR", "/tmp", 1);
	root = open(SPACE, O_RDONLY | O_DIRECTORY);
	space_prepare(root);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
	one_object();
	exact_byte();
	gives_up();
	emptied();
	live_name();
	in_turns();
	gives_way();
	return done_testing();
}
