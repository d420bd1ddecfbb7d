/* What the verbs of `memnet share` have in common. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cmd/command.h"
#include "cmd/config.h"
#include "qmp/qmp.h"
#include "space/pool.h"
#include "space/space.h"

/* Each verb takes some of them: its table of options says which. */
enum share_option {
	SHARE_QMP = 300,
	SHARE_QGA,
	SHARE_WAIT,
	SHARE_OWNER,
	SHARE_SIZE,
	SHARE_INODES,
	SHARE_HUGE,
	SHARE_MPOL,
	SHARE_NOSWAP,
	SHARE_NO_ATTACH,
	SHARE_MOUNT,
	SHARE_FORCE,
	SHARE_MACHINE,
	SHARE_LIBVIRT,
	SHARE_CACHE,
};
#define SHARE_OPT_QMP                                                                              \
	{                                                                                          \
		SHARE_QMP, "qmp", "ADDRESS", "QEMU's monitor: a socket, or exec:COMMAND", false    \
	}
#define SHARE_OPT_QGA                                                                              \
	{                                                                                          \
		SHARE_QGA, "qga", "ADDRESS", "the guest agent: a socket, or exec:COMMAND", false   \
	}
#define SHARE_OPT_WAIT                                                                             \
	{                                                                                          \
		SHARE_WAIT, "wait", "DURATION", "wait so long for others, QEMU and the guest",     \
			false                                                                      \
	}

/* One call of a verb. */
struct share {
	struct invocation *inv;

	/* The options. */
	const char *qmp, *qga, *owner, *mount_dir, *machine, *cache;
	struct tmpfs_options tmpfs;
	int64_t wait_ns;	 /* less than 0: as long as the verb thinks right */
	int64_t monitor_wait_ns; /* for a QEMU that does not listen yet; set by share_begin() */
	bool no_attach, force, libvirt;

	/* Set by share_begin(). */
	struct space_name name; /* .space is "" where the operand is a VM */
	struct vm_config config;
	int64_t deadline_ns;
	int lock;
};

/* Takes the options. 0, or OPTS_BAD. */
int share_options(struct share *s, struct invocation *inv);

/* Takes the operand, VM or VM/SPACE, and reads what the configuration says of it. 0 or -errno. */
int share_begin_vm(struct share *s, const char *operand);
int share_begin_space(struct share *s, const char *operand);

/* Locks the VM's pool, until share_end(); the deadline counts from then on. 0 or -errno. */
int share_lock(struct share *s);

/* Gives the lock back before that: what the guest is waited for may want a resize, say. */
void share_unlock(struct share *s);

/* Releases what share_begin_*() and share_lock() took. The exit status for `err`. */
int share_end(struct share *s, int err);

/* The object of messages and of `list`: "web1" or "web1/out". */
const char *share_object(const struct share *s, char buf[2 * NAME_PART_MAX + 2]);

/* Where QEMU's monitor is: the option, the configuration, the default path. */
const char *share_monitor(const struct share *s, char buf[PATH_MAX]);

/*
 * Connects to it, waiting for a QEMU that has just been started. 0 or -errno with what to do next.
 * The caller closes.
 */
int share_connect(struct share *s, struct qmp **q);

/* Who owns the pool and its spaces: the option, the configuration, QEMU's user, whoever has it. */
int share_find_owner(struct share *s, const struct qmp *q, uid_t *uid, gid_t *gid);

/* Whom QEMU runs as. 0, or -errno where its process is not known. */
int share_qemu_owner(const struct qmp *q, uid_t *uid, gid_t *gid);

/* Whether QEMU's user comes as far as the pool, as far as can be told. 0, or -EACCES. */
int share_check_reach(const struct share *s, const struct qmp *q, struct mn_error *e);

/*
 * Makes the pool and plugs its device. The pool's root, which the caller closes, or -errno: a
 * device that was plugged in vain is unplugged then, and share_drop_pool() is the caller's.
 */
int share_attach(struct share *s, struct qmp *q);

/*
 * After a failure: takes the pool away if it holds no space, nobody has it open (no descriptor of
 * ours either) and QEMU (NULL: there is none) says that it has no device.
 */
void share_drop_pool(const struct share *s, struct qmp *q);

/*
 * Looks at what the wanted size, s->tmpfs.size_bytes, of a space (`info`, as inventory_find() left
 * it) means to this host: refused (unless forced) where it is more than all memory, warned of where
 * it may take more than is free, or where all sizes together are more than all memory. 0 or -errno.
 */
int share_check_ram(struct share *s, const struct space_info *info);

/* Warns where the wanted size is more than QEMU's cgroup lets it use (ram_limit_of()). */
void share_warn_limit(const struct share *s, pid_t qemu);

/* Where the guest agent is: the option, the configuration, or NULL. */
const char *share_agent_address(const struct share *s);

/* How the guest has the pool mounted, by its own word. 1, 0 where it has not, or -errno. */
struct guest_mount {
	char dir[256], options[256];
};
int share_guest_mount(struct qmp *agent, struct guest_mount *m, struct mn_error *e);

/* Whether two absolute paths differ only in slashes that say nothing: "/mnt/pool", "/mnt//pool/".
 */
bool share_same_folder(const char *a, const char *b);

/*
 * Gives the lock back, waits for the guest's driver, and has the agent mount the pool on
 * s->mount_dir. 0 or -errno.
 */
int share_mount_through_agent(struct share *s, struct qmp *q);

/* What list, show and -j say of a space, without what QEMU knows. The caller deletes it. */
cJSON *share_row(const struct space_info *info);

/* The process of QEMU, or 0 where it is not known. */
pid_t share_qemu(const struct qmp *q);

/*
 * The process that serves the pool's root `path`: QEMU's, or any that has it open where that is not
 * known. 0 if it serves another folder, or -errno where that cannot be told.
 */
pid_t share_pool_server(const struct qmp *q, const char *path);

/* Each in the file of its group. */
int share_qemu_args(struct invocation *inv);
int share_check(struct invocation *inv);
int share_create(struct invocation *inv);
int share_resize(struct invocation *inv);
int share_destroy(struct invocation *inv);
int share_list(struct invocation *inv);
int share_show(struct invocation *inv);
int share_attach_verb(struct invocation *inv);
int share_detach_verb(struct invocation *inv);
int share_mount(struct invocation *inv);
int share_umount(struct invocation *inv);
