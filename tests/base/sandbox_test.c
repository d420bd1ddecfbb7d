/* From inside the sandbox: what can still be done, and what cannot. */
#include "base/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static char inside[300], outside[300];

static enum sandbox_dial dial = DIAL_NONE;
static uint16_t open_port;

/* Runs `attempt` in a child that has given up its rights: 0 if it succeeded, else its errno. */
static int in_sandbox(enum sandbox_use use, int (*attempt)(void))
{
	const struct sandbox_path path = {inside, use};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sandbox_rights(NULL, NULL) || sandbox_paths(&path, 1, open_port, NULL) ||
		    sandbox_calls(dial, NULL))
			_exit(255);
		errno = 0;
		_exit(attempt() < 0 ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static const char *in(const char *dir, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int read_inside(void)
{
	return open(in(inside, "x"), O_RDONLY);
}

static int write_inside(void)
{
	return open(in(inside, "x"), O_RDWR);
}

static int unlink_inside(void)
{
	return unlink(in(inside, "y"));
}

static int make_inside(void)
{
	return open(in(inside, "new"), O_WRONLY | O_CREAT, 0600);
}

static int read_outside(void)
{
	return open(in(outside, "x"), O_RDONLY);
}

static int read_up(void)
{
	return open(in(inside, "../outside/x"), O_RDONLY);
}

static int read_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int unlink_outside(void)
{
	return unlink(in(outside, "x"));
}

static int run_program(void)
{
	char *argv[] = {(char[]){"sh"}, NULL};

	return execv("/bin/sh", argv);
}

static int start_process(void)
{
	return (int)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

static int make_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int trace_parent(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int kill_parent(void)
{
	return kill(getppid(), 0);
}

static int mount_something(void)
{
	return mount("none", inside, "tmpfs", 0, NULL);
}

static int leave_namespace(void)
{
	return unshare(CLONE_NEWNS);
}

static int rename_inside(void)
{
	return rename(in(inside, "x"), "/tmp/x");
}

static void prepare(void)
{
	int root = scratch_open();

	snprintf(inside, sizeof(inside), "%s/inside", scratch_path);
	snprintf(outside, sizeof(outside), "%s/outside", scratch_path);
	mkdirat(root, "inside", 0700);
	mkdirat(root, "outside", 0700);
	scratch_file(root, "inside/x", "x", 1);
	scratch_file(root, "inside/y", "y", 1);
	scratch_file(root, "outside/x", "x", 1);
}

static bool have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static void test_paths(void)
{
	is_int(in_sandbox(SANDBOX_READ, read_inside), 0, "what is served can be read");
	is_int(in_sandbox(SANDBOX_CHANGE, write_inside), 0, "and written, where that is wanted");
	if (!have_landlock()) {
		skip(10, "no Landlock in this kernel");
		return;
	}
	is_int(in_sandbox(SANDBOX_READ, write_inside), EACCES, "not where it is not");
	is_int(in_sandbox(SANDBOX_READ, unlink_inside), EACCES, "nor removed");
	is_int(in_sandbox(SANDBOX_CHANGE, make_inside), EACCES, "nothing can be made");
	is_int(in_sandbox(SANDBOX_LOG, make_inside), 0, "but a log");
	is_int(in_sandbox(SANDBOX_LOG, read_inside), EACCES, "where nothing can be read");
	is_int(in_sandbox(SANDBOX_LOG, unlink_inside), EACCES, "nor removed");
	is_int(in_sandbox(SANDBOX_CHANGE, read_outside), EACCES, "nothing else can be read");
	is_int(in_sandbox(SANDBOX_CHANGE, read_up), EACCES, "by no path");
	is_int(in_sandbox(SANDBOX_CHANGE, read_passwd), EACCES, "nowhere");
	is_int(in_sandbox(SANDBOX_CHANGE, unlink_outside), EACCES, "nor removed");
}

static void test_calls(void)
{
	is_int(in_sandbox(SANDBOX_CHANGE, unlink_inside), 0, "what is served can be removed");
	is_int(in_sandbox(SANDBOX_CHANGE, unix_socket), 0, "the service manager can be told");
	is_int(in_sandbox(SANDBOX_CHANGE, run_program), EPERM, "no program can be run");
	is_int(in_sandbox(SANDBOX_CHANGE, start_process), EPERM, "no process started");
	is_int(in_sandbox(SANDBOX_CHANGE, make_socket), EPERM, "no connection made");
	is_int(in_sandbox(SANDBOX_CHANGE, trace_parent), EPERM, "no other process traced");
	is_int(in_sandbox(SANDBOX_CHANGE, kill_parent), EPERM, "or sent a signal");
	is_int(in_sandbox(SANDBOX_CHANGE, mount_something), EPERM, "nothing mounted");
	is_int(in_sandbox(SANDBOX_CHANGE, leave_namespace), EPERM, "no namespace made");
	is_int(in_sandbox(SANDBOX_CHANGE, rename_inside), EPERM, "nothing renamed");
}

static int dial_port(uint16_t port)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const void *)&to, sizeof(to)) == 0)
		return fd;
	return errno == EINPROGRESS ? 0 : -1;
}

static int dial_open_port(void)
{
	return dial_port(4711);
}

static int dial_other_port(void)
{
	return dial_port(4712);
}

static int make_udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int make_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void test_dialling(void)
{
	is_int(in_sandbox(SANDBOX_CHANGE, dial_open_port), EPERM,
	       "who does not dial gets no TCP socket");
	dial = DIAL_UNIX;
	is_int(in_sandbox(SANDBOX_CHANGE, dial_open_port), EPERM, "nor who dials UNIX sockets");
	dial = DIAL_TCP;
	open_port = 4711;
	is_int(in_sandbox(SANDBOX_CHANGE, dial_open_port), 0, "who dials TCP does");
	is_int(in_sandbox(SANDBOX_CHANGE, make_udp_socket), EPERM, "and no other kind");
	is_int(in_sandbox(SANDBOX_CHANGE, make_packet_socket), EPERM, "of no other family");
	is_int(in_sandbox(SANDBOX_CHANGE, unix_socket), 0, "the service manager can still be told");
	is_int(in_sandbox(SANDBOX_CHANGE, run_program), EPERM, "no program can be run");
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 4)
		skip(1, "this kernel's Landlock knows no ports");
	else
		is_int(in_sandbox(SANDBOX_CHANGE, dial_other_port), EACCES, "to no other port");
}

int main(void)
{
	prepare();
	test_paths();
	test_calls();
	test_dialling();
	return done_testing();
}
