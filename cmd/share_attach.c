/* attach and detach: the pool's device, around a migration. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "qmp/device.h"

static int attach(struct share *s, struct qmp *q)
{
	cleanup_fd int poolfd = share_attach(s, q);
	int err;

	if (poolfd < 0)
		return poolfd;
	err = device_wait_ready(q, &s->inv->error);
	if (err)
		mn_error_prefix(&s->inv->error, "%s", s->name.vm);
	return err;
}

static int detach(struct share *s, struct qmp *q)
{
	int err = device_unplug(q, &s->inv->error);

	if (err) {
		mn_error_prefix(&s->inv->error, "%s", s->name.vm);
		return err;
	}
	pool_remove(s->inv->common.runtime_dir, s->name.vm); /* if it holds no space */
	return 0;
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
