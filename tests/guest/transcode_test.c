/* The transcode job, in a folder that is a space: what it publishes, counts, records and tells. */
#include "guest/transcode.h"

#include <errno.h>

#include "base/io.h"
#include "base/lock.h"
#include "space/layout.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#define SH(script) ((char *const[]){(char *)"sh", (char *)"-c", (char *)(script), NULL})

static int root;
static struct transcode t;
static struct mn_error e;

static int run(struct transcode_options o)
{
	o.to = scratch_path;
	o.kill_after_ns = 1000000000;
	e = (struct mn_error)MN_ERROR_INIT;
	return transcode_run(&t, &o, &e);
}

static const char *object(const char *path)
{
	static char text[4096];
	ssize_t n = io_read_file(root, path, text, sizeof(text));

	return n < 0 ? "(none)" : text;
}

static bool record(struct record *r)
{
	char path[128], text[RECORD_MAX + 1];
	ssize_t n;

	snprintf(path, sizeof(path), SPACE_JOBS "/%s.json", t.job.record.id);
	n = io_read_file(root, path, text, sizeof(text));
	return n > 0 && record_parse(text, (size_t)n, r) == 0;
}

static void from_stdout(void)
{
	struct record r;

	is_int(run((struct transcode_options){
		       .name = "a",
		       .input = "/in/x",
		       .bytes_in = 77,
		       .argv = SH("printf '%s|%s|%s' {} \"$MEMNET_INPUT\" \"$MEMNET_OBJECT\"; "
				  "printf 'frame=5\\nout_time_us=200000\\nspeed=2.5x\\n"
				  "progress=end\\n' >&3")}),
	       0, "it ends well");
	is_str(object("a"), "/in/x|/in/x|a", "its stdout is the object, its input is named");
	ok(t.objects == 1 && t.bytes == 13 && t.attempts == 1, "one object of 13 bytes");
	ok(record(&r), "there is a record");
	ok(r.bytes_in == 77 && r.bytes_out == 13 && r.objects == 1 && r.status == RECORD_DONE,
	   "of the same");
	ok(r.frames == 5 && r.media_us == 200000 && r.speed_milli == 2500,
	   "and of what the command said");
	is_int(run((struct transcode_options){.name = "a", .argv = SH("echo x")}), -EEXIST,
	       "the name is taken");
	ok(strstr(e.text, "a: already in the space"), "in words: %s", e.text);
	ok(t.child.group == 0, "the command was not even started");
	is_int(run((struct transcode_options){.name = "../a", .argv = SH("echo x")}), -EINVAL,
	       "no name for an object");
	ok(t.child.group == 0, "nor there");
	is_int(run((struct transcode_options){.name = "b", .argv = SH("echo x; exit 9")}), 9,
	       "a failing command");
	is_str(object("b"), "(none)", "has no object");
	ok(record(&r) && r.status == RECORD_FAILED && r.objects == 0, "but a record");
}

static struct stat announced;

static int announce(void *cookie, const struct stat *st)
{
	announced = *st;
	return *(int *)cookie;
}

static void publishing(void)
{
	int answer = 0;
	struct stat st;
	struct transcode_options o = {.name = "n",
				      .argv = SH("echo text"),
				      .publishing = announce,
				      .publishing_cookie = &answer};

	is_int(run(o), 0, "announced and published");
	ok(fstatat(root, "n", &st, 0) == 0 && st.st_ino == announced.st_ino &&
		   st.st_size == announced.st_size,
	   "it is the very file that was announced");
	o.name = "m";
	answer = -EDOM;
	is_int(run(o), -EDOM, "given up when that fails");
	is_str(object("m"), "(none)", "and not published");
}

static void files(void)
{
	is_int(run((struct transcode_options){
		       .files = true,
		       .name = "set",
		       .staging_size = 1 << 20,
		       .argv = SH(
			       "cd {output}; echo 1 >a.ts; mkdir s; echo 2 >s/b.ts; sleep 0.1")}),
	       0, "files");
	is_str(object("set/a.ts"), "1\n", "are objects");
	is_str(object("set/s/b.ts"), "2\n", "in folders too");
	is_int(t.objects, 2, "two of them");
	is_int(run((struct transcode_options){
		       .files = true,
		       .argv = SH("cd {output}; echo 1 >l.ts; ln -s l.ts new; ln -sf l.ts new; "
				  "sleep 0.1; echo 2 >m.ts")}),
	       0, "a link that is replaced ends nothing");
	is_str(object("m.ts"), "2\n", "what follows is published");
	is_str(object("new"), "(none)", "the link is not");
	is_int(run((struct transcode_options){
		       .files = true,
		       .staging_size = 100000,
		       .argv = SH("cd {output}; exec 9>big; head -c 200000 /dev/zero >&9; "
				  "exec sleep 1000")}),
	       -EFBIG, "an unfinished file larger than the staging size ends the command");
	is_str(object("big"), "(none)", "and is not published");
	is_int(run((struct transcode_options){
		       .files = true,
		       .staging_size = 100000,
		       .argv = SH("cd {output}; for i in 1 2 3 4 5 6 7 8; do head -c 60000 "
				  "/dev/zero >p$i; done")}),
	       0, "finished ones may be any number");
	is_int(t.objects, 8, "all are published");
}

static void again(void)
{
	is_int(run((struct transcode_options){
		       .name = "r", .attempts = 4, .argv = SH("echo $MEMNET_ATTEMPT")}),
	       0, "a retry by the caller's count");
	is_str(object("r"), "5\n", "is told its number");
	is_int(t.attempts, 5, "and counted");
}

/* Another job needs the room of one whose command has closed its stdout and runs on. */
static void gives_room(void)
{
	int lockfd = openat(root, SPACE_LOCK, O_RDWR | O_CLOEXEC);

	is_int(lock_byte(lockfd, LOCK_HUNGRY), 0, "an elder is hungry");
	is_int(run((struct transcode_options){
		       .name = "given",
		       .argv = SH("echo text; exec >&-; cd $MEMNET_SPACE/.memnet/part; "
				  "until [ -s *.0 ]; do sleep 0.01; done; "
				  "for i in $(seq 500); do [ -s *.0 ] || exit 0; sleep 0.02; done; "
				  "exit 1")}),
	       0, "its part gives the room back while the command runs");
	is_str(object("given"), "text\n", "and is published whole");
	close(lockfd);
}

/* Its pipe is full again before it has been read. */
static void chatty(void)
{
	alarm(300);
	is_int(run((struct transcode_options){
		       .name = "chatty",
		       .timeout_ns = 200000000,
		       .argv = SH("for i in 1 2 3 4; do cat /dev/zero >&3 & done; wait")}),
	       -ETIME, "one that never ends telling its progress is timed");
	is_int(run((struct transcode_options){
		       .name = "chatty",
		       .argv = SH("cat /dev/zero >&3 & head -c 3000000 /dev/zero; kill $!")}),
	       0, "and served");
	is_int(t.bytes, 3000000, "as any other");
	alarm(0);
}

int main(void)
{
	root = scratch_open();
	setenv("TMPDIR", scratch_path, 1);
	if (space_prepare(root))
		return 1;
	from_stdout();
	publishing();
	files();
	again();
	gives_room();
	chatty();
	return done_testing();
}
