/* attach and detach: the pool's device, around a migration. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "qmp/device.h"

struct ownership {
	const char *vm;
	uid_t uid;
	gid_t gid;
	struct mn_error *e;
};

static int own(const struct space_info *info, void *context)
{
	struct ownership *o = context;

	return strcmp(info->name.vm, o->vm) == 0 ? space_own(info, o->uid, o->gid, o->e) : 0;
}

/* A VM that came back may run as another user than the one its spaces were made for. */
static int own_spaces(struct share *s, struct qmp *q)
{
	struct ownership o = {.vm = s->name.vm, .e = &s->inv->error};
	int err = share_find_owner(s, q, &o.uid, &o.gid);

	return err ? err : inventory_each(s->inv->common.runtime_dir, own, &o);
}

static int attach(struct share *s, struct qmp *q)
{
	cleanup_fd int poolfd = share_attach(s, q);
	int err;

	if (poolfd < 0) {
		share_drop_pool(s, q);
		return poolfd;
	}
	err = own_spaces(s, q);
	share_unlock(s);
	if (!err)
		err = device_wait_ready(q, &s->inv->error);
	if (err)
		mn_error_prefix(&s->inv->error, "%s", s->name.vm);
	return err;
}

static int detach(struct share *s, struct qmp *q)
{
	int err = device_plugged(q, &s->inv->error);

	if (err > 0) {
		share_unlock(s); /* a job that keeps it mounted may wait for room */
		err = device_wait_unmounted(q, &s->inv->error);
		if (!err && share_lock(s))
			return s->lock;
	}
	if (!err)
		err = device_unplug(q, &s->inv->error);
	if (err) {
		mn_error_prefix(&s->inv->error, "%s", s->name.vm);
		return err;
	}
	pool_remove(s->inv->common.runtime_dir, s->name.vm); /* if it holds no space */
	pool_sweep(s->inv->common.runtime_dir);
	return 0;
}

/*
 * Where QEMU has died, its device is gone; that nobody holds the pool is what shows it. A command
 * that would reach the monitor ends without an answer then.
 */
static bool detached_by_death(struct share *s, const struct qmp *q, int err)
{
	const char *runtime_dir = s->inv->common.runtime_dir;
	bool silent = q ? err == -EPIPE && !qmp_has_events(q) : s->inv->error.status == MN_ABSENT;

	return s->lock >= 0 && silent && pool_mounted(runtime_dir, s->name.vm) &&
	       pool_remove(runtime_dir, s->name.vm) == 0;
}

static int run(struct invocation *inv, const char *what, int (*act)(struct share *, struct qmp *))
{
	struct share s;
	struct qmp *q = NULL;
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 1, 1))
		return command_fail(inv);
	err = share_begin_vm(&s, inv->operands[0]);
	if (!err && inv->common.dry_run) {
		printf("would %s %s\n", what, s.name.vm);
		return share_end(&s, 0);
	}
	if (!err)
		err = share_lock(&s);
	if (!err)
		err = share_connect(&s, &q);
	if (!err)
		err = act(&s, q);
	if (err && act == detach && detached_by_death(&s, q, err))
		err = 0;
	qmp_close(q);
	return share_end(&s, err);
}

int share_attach_verb(struct invocation *inv)
{
	return run(inv, "attach", attach);
}

int share_detach_verb(struct invocation *inv)
{
	return run(inv, "detach", detach);
}
