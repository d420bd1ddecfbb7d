/* Confinement: what a guest plants in its space leads nowhere else. */
#include "base/confine.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static int root;

/* Opens for reading, reports like an errno, keeps nothing open. */
static int look(const char *path)
{
	int fd = confine_open(root, path, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static int look_regular(const char *path)
{
	struct stat st;
	int fd = confine_open_regular(root, path, O_RDONLY, &st);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void plant(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	mkdirat(root, "in", 0700);
	mkdirat(root, "in/deep", 0700);
	scratch_file(root, "in/deep/file", "hello", 5);
	mkfifoat(root, "fifo", 0600);
	(void)!symlinkat("/etc/passwd", root, "absolute");
	(void)!symlinkat("../..", root, "in/up");
	(void)!symlinkat("in", root, "inside");
	(void)!symlinkat("in/deep/file", root, "good-looking");
	(void)!symlinkat("/proc/self/root", root, "magic");
	(void)!symlinkat("loop", root, "loop");
	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/socket", scratch_path);
	(void)!bind(s, (struct sockaddr *)&address, sizeof(address));
	close(s);
}

static void what_is_inside(void)
{
	struct stat st;
	char buf[8] = "";
	int fd = confine_open_regular(root, "in/deep/file", O_RDONLY, &st);

	ok(fd >= 0, "a file beneath opens");
	is_int(st.st_size, 5, "and is described");
	ok(read(fd, buf, sizeof(buf)) == 5 && strcmp(buf, "hello") == 0, "and is the one meant");
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "no child inherits it");
	close(fd);
	is_int(look("in/../in/deep/file"), 0, "'..' that stays beneath is let through");
	is_int(look("in/none"), -ENOENT, "what is not there is not there");
	is_int(look("in/deep/file/x"), -ENOTDIR, "a file is no folder");
	is_int(look(""), -ENOENT, "no name, no file");
}

static void what_leads_out(void)
{
	static const char *const out[] = {
		"..", "../x",	     "in/../..",	   "in/../../etc/passwd",
		"/",  "/etc/passwd", "in/deep/../../../x",
	};
	static const char *const links[] = {
		"absolute",	"in/up", "in/up/etc", "inside", "inside/deep/file",
		"good-looking", "magic", "magic/etc", "loop",
	};

	for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
		is_int(look(out[i]), -EXDEV, "\"%s\" leads out", out[i]);
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		is_int(look(links[i]), -ELOOP, "the link \"%s\" leads nowhere", links[i]);
}

static void what_is_no_file(void)
{
	struct stat st;

	is_int(look("fifo"), 0, "opening a FIFO does not wait for its writer");
	is_int(look_regular("fifo"), -EINVAL, "a FIFO is no regular file");
	is_int(look_regular("in"), -EINVAL, "nor is a folder");
	is_int(look_regular("socket"), -ENXIO, "a socket does not open");
	is_int(confine_open_regular(root, "fifo", O_WRONLY, &st), -ENXIO,
	       "a FIFO without a reader does not open for writing");
}

static void making(void)
{
	struct stat st = {0};
	int fd = confine_open(root, "in/new", O_WRONLY | O_CREAT | O_EXCL, 0640);

	ok(fd >= 0, "a file is made beneath");
	fstat(fd, &st);
	is_int(st.st_mode & 0777, 0640 & ~umask(022), "with the mode given");
	close(fd);
	is_int(confine_open(root, "in/new", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST, "once");
	is_int(confine_open(root, "absolute", O_WRONLY | O_CREAT | O_TRUNC, 0600), -ELOOP,
	       "not through a link");
	is_int(confine_open(root, "../new", O_WRONLY | O_CREAT, 0600), -EXDEV, "not outside");
}

static void paths_only(void)
{
	int fd = confine_open(root, "in", O_PATH | O_DIRECTORY, 0);

	ok(fd >= 0, "O_PATH opens a folder");
	close(fd);
	is_int(confine_open(root, "in/deep/file", O_PATH | O_DIRECTORY, 0), -ENOTDIR,
	       "and O_DIRECTORY nothing else");
	is_int(confine_open(root, "inside", O_PATH, 0), -ELOOP, "O_PATH follows no link");
	is_int(confine_open(root, "..", O_PATH, 0), -EXDEV, "nor leads out");
}

/* Leaves this process in a mount namespace of its own, so that it comes last. */
static void other_mounts(void)
{
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || chdir(scratch_path) < 0 ||
	    mount("none", "in/deep", "tmpfs", 0, NULL) < 0) {
		skip(2, "no mount namespace to be had here");
		return;
	}
	/* The descriptor belongs to the mounts of the old namespace. */
	close(root);
	root = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(look("in/deep"), -EXDEV, "a mount in the space is not entered");
	is_int(look("in/new"), 0, "what is beside it still opens");
	umount("in/deep");
	(void)!chdir("/");
}

int main(void)
{
	root = scratch_open();
	umask(022);
	plant();
	what_is_inside();
	what_leads_out();
	what_is_no_file();
	making();
	paths_only();
	other_mounts();
	close(root);
	return done_testing();
}
