/* create, resize and destroy: verbs that change one space. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "space/probe.h"
#include "space/reach.h"

static void cleanup_qmp_close(struct qmp **q)
{
	qmp_close(*q);
}
#define cleanup_qmp __attribute__((cleanup(cleanup_qmp_close)))

static int fail_space(struct share *s, int err)
{
	char object[2 * NAME_PART_MAX + 2];

	mn_error_prefix(&s->inv->error, "%s", share_object(s, object));
	return err;
}

static int find(struct share *s, struct space_info *info)
{
	return inventory_find(s->inv->common.runtime_dir, &s->name, info, &s->inv->error);
}

/* With -j, the space as it is now; silent otherwise, as mkdir(1) is. */
static void print_result(struct share *s)
{
	struct space_info info;

	if (s->inv->common.json && find(s, &info) == 0)
		output_object(&s->inv->common, NULL, share_row(&info));
}

static int say_dry(const struct share *s, const char *what)
{
	char object[2 * NAME_PART_MAX + 2];

	printf("would %s %s\n", what, share_object(s, object));
	return 0;
}

/* What is there already must be what was asked for; what was not asked for may be anything. */
static int compare(struct share *s, const struct space_info *info)
{
	const struct tmpfs_options *o = &s->tmpfs;
	struct mn_error *e = &s->inv->error;
	char have[16];
	uint64_t page = 4096;

	if ((o->size_bytes + page - 1) / page * page != info->size_bytes)
		return fail_space(s, mn_fail(e, MN_FAILED, EEXIST,
					     "it exists with a size of %s (change it: memnet share "
					     "resize)",
					     format_size(info->size_bytes, have)));
	if (o->huge && strcmp(o->huge, *info->huge ? info->huge : "never") != 0)
		return fail_space(s, mn_fail(e, MN_FAILED, EEXIST,
					     "it exists with huge=%s, which cannot change (destroy "
					     "it first)",
					     *info->huge ? info->huge : "never"));
	if (o->noswap && !info->noswap)
		return fail_space(s, mn_fail(e, MN_FAILED, EEXIST,
					     "it exists and may be swapped, which cannot change "
					     "(destroy it first)"));
	return 0;
}

/* A space that exists is brought to what was asked for, and to QEMU's user. */
static int adopt(struct share *s, const struct space_info *info)
{
	int err = space_resize(info, &s->tmpfs, &s->inv->error);

	if (!err)
		err = space_own(info, s->tmpfs.uid, s->tmpfs.gid, &s->inv->error);
	return err ? fail_space(s, err) : 0;
}

/* A new space is of no use to a QEMU that does not see it. */
static int check_seen(struct share *s, pid_t qemu)
{
	struct space_info info;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s/%s", s->inv->common.runtime_dir, s->name.vm,
			 s->name.space);

	if (qemu <= 0 || n < 0 || n >= (int)sizeof(path) || reach_seen_by(qemu, path) != 0)
		return 0;
	if (find(s, &info) == 0)
		space_destroy(&info, false, NULL);
	mn_fail(&s->inv->error, MN_FAILED, EXDEV,
		"QEMU (process %d) is in a mount namespace that new mounts do not reach (mount "
		"--make-rshared /, and start it again)",
		(int)qemu);
	return fail_space(s, -EXDEV);
}

static int make(struct share *s, int poolfd, pid_t qemu)
{
	int err;

	share_warn_limit(s, qemu);
	if (!s->tmpfs.inodes)
		s->tmpfs.inodes = space_inodes_default(s->tmpfs.size_bytes);
	if (!s->tmpfs.huge && probe_huge())
		s->tmpfs.huge = "within_size"; /* five times as fast to write */
	err = space_create(poolfd, &s->name, &s->tmpfs, &s->inv->error);
	return err ? fail_space(s, err) : check_seen(s, qemu);
}

/*
 * What must not be found wrong after the device was plugged: the kernel is asked for a tmpfs with
 * these options, which is mounted nowhere. `info` is what inventory_find() left.
 */
static int check_options(struct share *s, const struct space_info *info, bool exists)
{
	int fd, err = exists ? compare(s, info) : share_check_ram(s, info);

	if (err)
		return err;
	fd = tmpfs_make(&s->tmpfs, &s->inv->error);
	if (fd < 0)
		return fail_space(s, fd);
	close(fd);
	return 0;
}

/* The pool without its device: for spaces at boot, before the VM starts. */
static int open_pool_alone(struct share *s)
{
	uid_t uid;
	gid_t gid;
	int err = share_find_owner(s, NULL, &uid, &gid);

	return err ? err
		   : pool_make(s->inv->common.runtime_dir, s->name.vm, uid, gid, &s->inv->error);
}

/* With the pool that the space lies in; `q` is NULL where QEMU is left alone. */
static int create_in_pool(struct share *s, struct qmp *q, const struct space_info *info,
			  bool exists)
{
	cleanup_fd int poolfd = q ? share_attach(s, q) : open_pool_alone(s);
	int err;

	if (poolfd < 0)
		return q ? poolfd : fail_space(s, poolfd);
	err = share_find_owner(s, q, &s->tmpfs.uid, &s->tmpfs.gid);
	if (err)
		return err;
	return exists ? adopt(s, info) : make(s, poolfd, share_qemu(q));
}

static int create_locked(struct share *s)
{
	cleanup_qmp struct qmp *q = NULL;
	struct space_info info;
	int err, found;

	err = s->no_attach ? 0 : share_connect(s, &q);
	if (err)
		return err;
	found = find(s, &info);
	if (found && found != -ENOENT)
		return found;
	s->tmpfs.mode = 0700;
	err = check_options(s, &info, found == 0);
	if (err)
		return err;
	err = create_in_pool(s, q, &info, found == 0);
	if (err)
		share_drop_pool(s, q);
	else if (s->mount_dir)
		err = share_mount_through_agent(s, q);
	return err;
}

/* --mount is done by the guest agent, in a guest that runs. */
static int check_mount_dir(struct share *s)
{
	struct mn_error *e = &s->inv->error;

	if (!s->mount_dir)
		return 0;
	if (s->no_attach)
		return mn_fail(e, MN_USAGE, EINVAL, "--mount and --no-attach exclude each other");
	if (!share_agent_address(s))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--mount wants the guest agent's socket, --qga");
	if (*s->mount_dir != '/')
		return mn_fail(e, MN_USAGE, EINVAL, "bad --mount \"%.64s\": want an absolute path",
			       s->mount_dir);
	return 0;
}

int share_create(struct invocation *inv)
{
	struct share s;
	int err;

	/* A size without its option: what is missing is said, not what is too many. */
	if (share_options(&s, inv) || opts_operands(inv, 1, s.tmpfs.size_bytes ? 1 : 2))
		return command_fail(inv);
	if (!s.tmpfs.size_bytes) {
		mn_fail(&inv->error, MN_USAGE, EINVAL, "--size wanted");
		return command_fail(inv);
	}
	err = share_begin_space(&s, inv->operands[0]);
	if (!err)
		err = check_mount_dir(&s);
	if (!err && inv->common.dry_run)
		return share_end(&s, say_dry(&s, "create"));
	if (!err)
		err = share_lock(&s);
	if (!err)
		err = create_locked(&s);
	if (!err)
		print_result(&s);
	return share_end(&s, err);
}

/* Locks a space that is there: a mistyped name makes no lock, which would stay, nor does -n. */
static int lock_space(struct share *s)
{
	struct space_info info;
	int err = find(s, &info);

	return err || s->inv->common.dry_run ? err : share_lock(s);
}

/* "S", "+S" or "-S" against the size it has. */
static int wanted_size(const char *text, uint64_t have, uint64_t *want, struct mn_error *e)
{
	char sign = *text, has[16];
	uint64_t size;
	int err = parse_size(text + (sign == '+' || sign == '-'), &size, e);

	if (err)
		return err;
	if (sign == '-')
		*want = size < have ? have - size : 0;
	else
		*want = sign == '+' ? have + size : size;
	if (*want < SPACE_SIZE_MIN || *want > INT64_MAX)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad size \"%.64s\": want 64K or more left of %s", text,
			       format_size(have, has));
	return 0;
}

static int fail_small(struct share *s, const struct space_info *info, uint64_t want)
{
	char a[16], b[16];

	mn_fail(&s->inv->error, MN_REFUSED, EBUSY,
		"cannot shrink to %s: %s are in use, %llu bytes (release objects first)",
		format_size(want, a), format_size(info->used_bytes, b),
		(unsigned long long)info->used_bytes);
	return fail_space(s, -EBUSY);
}

static int resize_locked(struct share *s, const char *size)
{
	struct mn_error *e = &s->inv->error;
	struct space_info info;
	int err = find(s, &info);

	if (!err && size)
		err = wanted_size(size, info.size_bytes, &s->tmpfs.size_bytes, e);
	if (err)
		return err;
	if (s->tmpfs.size_bytes && s->tmpfs.size_bytes < info.used_bytes)
		return fail_small(s, &info, s->tmpfs.size_bytes);
	if (s->tmpfs.size_bytes > info.size_bytes)
		err = share_check_ram(s, &info);
	if (err)
		return err;
	if (s->inv->common.dry_run)
		return say_dry(s, "resize");
	err = space_resize(&info, &s->tmpfs, e);
	if (!err)
		return 0;
	/* The guest may have written in between. */
	if (e->status == MN_REFUSED && s->tmpfs.size_bytes && find(s, &info) == 0 &&
	    s->tmpfs.size_bytes < info.used_bytes)
		return fail_small(s, &info, s->tmpfs.size_bytes);
	return fail_space(s, err);
}

/* "-S" is a size here, not letters: taken out before options are looked for. */
static char *take_negative(struct invocation *inv)
{
	for (char **word = inv->argv; *word && strcmp(*word, "--") != 0; word++) {
		if ((*word)[0] == '-' && (*word)[1] >= '0' && (*word)[1] <= '9') {
			char *size = *word;

			for (; *word; word++)
				word[0] = word[1];
			return size;
		}
	}
	return NULL;
}

int share_resize(struct invocation *inv)
{
	char *size = take_negative(inv);
	struct share s;
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 1, size ? 1 : 2))
		return command_fail(inv);
	if (!size)
		size = inv->operands[1];
	if (!size && !s.tmpfs.inodes && !s.tmpfs.mpol) {
		mn_fail(&inv->error, MN_USAGE, EINVAL, "a size wanted: S, +S or -S");
		return command_fail(inv);
	}
	err = share_begin_space(&s, inv->operands[0]);
	if (!err)
		err = lock_space(&s);
	if (!err)
		err = resize_locked(&s, size);
	if (!err && !inv->common.dry_run)
		print_result(&s);
	return share_end(&s, err);
}

static int destroy_locked(struct share *s)
{
	struct space_info info;
	int err = find(s, &info);

	if (err)
		return err;
	if (s->inv->common.dry_run)
		return say_dry(s, "destroy");
	err = space_destroy(&info, s->force, &s->inv->error);
	if (err)
		return fail_space(s, err);
	pool_remove(s->inv->common.runtime_dir, s->name.vm); /* if it was the last and no VM runs */
	pool_sweep(s->inv->common.runtime_dir);
	return 0;
}

int share_destroy(struct invocation *inv)
{
	struct share s;
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 1, 1))
		return command_fail(inv);
	err = share_begin_space(&s, inv->operands[0]);
	if (!err)
		err = lock_space(&s);
	if (!err)
		err = destroy_locked(&s);
	return share_end(&s, err);
}
