#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* ---- rights ---- */

/* Objects are QEMU's user's, 0600: to read, write and remove them, and to set their times. */
#define KEPT (1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER)

static int keep_rights(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2], want[2] = {{0}};

	if (syscall(SYS_capget, &header, have) < 0)
		return -errno;
	want[0].permitted = want[0].effective = have[0].permitted & KEPT;
	return syscall(SYS_capset, &header, want) < 0 ? -errno : 0;
}

static int become(const char *user, struct mn_error *e)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return mn_fail(e, MN_USAGE, ENOENT, "%s: no such user", user);
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return mn_fail(e, MN_FAILED, errno, "%s: cannot become that user: %s", user,
			       strerror(errno));
	return 0;
}

int sandbox_rights(const char *user, struct mn_error *e)
{
	int err = user ? become(user, e) : 0;

	if (err)
		return err;
	err = keep_rights();
	if (err)
		return mn_fail_errno(e, -err, "giving up rights");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return mn_fail_errno(e, errno, "giving up rights");
	return 0;
}

/* ---- paths ---- */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static const uint64_t uses[] = {
	[SANDBOX_READ] = READING,
	[SANDBOX_CHANGE] = READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE,
	[SANDBOX_LOG] = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG,
};

/* All that the first version of Landlock knows. */
#define EVERYTHING ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

/* Of <linux/landlock.h>, from Linux 6.7 on. */
struct ruleset_attr {
	uint64_t fs, net;
};
#define NET_BIND_AND_CONNECT 3
#define NET_CONNECT	     2
#define RULE_NET_PORT	     2
struct net_port_attr {
	uint64_t allowed, port;
};

static int allow(int ruleset, const struct sandbox_path *path)
{
	cleanup_fd int fd = open(path->dir, O_PATH | O_CLOEXEC);
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = uses[path->use],
		.parent_fd = fd,
	};

	if (fd < 0)
		return -errno;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static int allow_port(int ruleset, uint16_t port)
{
	const struct net_port_attr rule = {NET_CONNECT, port};

	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0 ? -errno : 0;
}

int sandbox_paths(const struct sandbox_path *paths, size_t count, uint16_t port, struct mn_error *e)
{
	const long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	const struct ruleset_attr attr = {.fs = EVERYTHING, .net = NET_BIND_AND_CONNECT};
	cleanup_fd int ruleset = -1;

	if (version < 1)
		return 0; /* not in this kernel, or switched off */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
			       version >= 4 ? sizeof(attr) : sizeof(attr.fs), 0);
	if (ruleset < 0)
		return mn_fail_errno(e, errno, "Landlock");
	for (size_t i = 0; i < count; i++) {
		const int err = allow(ruleset, &paths[i]);

		if (err)
			return mn_fail_errno(e, -err, "%s", paths[i].dir);
	}
	if (port && version >= 4 && allow_port(ruleset, port))
		return mn_fail_errno(e, errno, "Landlock");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return mn_fail_errno(e, errno, "Landlock");
	return 0;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#	define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#	define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

static const int calls[] = {
	SYS_read,
	SYS_write,
	SYS_writev,
	SYS_readv,
	SYS_pread64,
	SYS_pwrite64,
	SYS_close,
	SYS_lseek,
	SYS_sendfile,
	SYS_splice,
	SYS_vmsplice,
	SYS_fallocate,
	SYS_ioctl,
	SYS_fcntl,
	SYS_dup3,
	SYS_fstat,
	SYS_statx,
	SYS_newfstatat,
	SYS_fstatfs,
	SYS_statfs,
	SYS_openat,
	SYS_openat2,
	SYS_unlinkat,
	SYS_utimensat,
	SYS_getdents64,
	SYS_fgetxattr,
	SYS_fsetxattr,
	SYS_inotify_add_watch,
	SYS_inotify_rm_watch,
	SYS_accept4,
	SYS_recvfrom,
	SYS_sendto,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_shutdown,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_getrusage,
	SYS_getpid,
	SYS_gettid,
	SYS_futex,
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise,
	SYS_brk,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_sched_yield,
	SYS_getrandom,
	SYS_tgkill,
	SYS_exit,
	SYS_exit_group,
#ifdef SYS_open
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_unlink,
	SYS_epoll_wait,
	SYS_time,
#endif
};

#define CALLS (sizeof(calls) / sizeof(*calls))

/* connect(2); and with DIAL_TCP, socket(2) for non-blocking TCP. */
#define DIAL_STEPS 10
static size_t add_dialling(struct sock_filter *p, enum sandbox_dial dial)
{
	const struct sock_filter steps[DIAL_STEPS] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 7),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	const size_t count = dial == DIAL_TCP ? DIAL_STEPS : dial == DIAL_UNIX ? 2 : 0;

	memcpy(p, steps, count * sizeof(*p));
	return count;
}

/*
 * The program: another architecture's calls are fatal (their numbers mean something else), those
 * of the list pass, socket(2) passes for AF_UNIX (sd_notify), the others fail with EPERM.
 */
static size_t make_program(struct sock_filter *p, enum sandbox_dial dial)
{
	size_t n = 0;

	p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, arch));
	p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < CALLS; i++) {
		p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
						      0, 1);
		p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	n += add_dialling(p + n, dial);
	p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, args[0]));
	p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	p[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	return n;
}

int sandbox_calls(enum sandbox_dial dial, struct mn_error *e)
{
	struct sock_filter filter[2 * CALLS + DIAL_STEPS + 9];
	const struct sock_fprog program = {(unsigned short)make_program(filter, dial), filter};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
		return 0;
	return errno == ENOSYS || errno == EINVAL ? 0 : mn_fail_errno(e, errno, "seccomp");
}
