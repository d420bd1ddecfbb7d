/* The pool in the guest, seen and mounted through the guest agent. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "qmp/agent.h"
#include "qmp/device.h"
#include "space/mount.h"
#include "space/mountinfo.h"

#define MOUNTS_MAX 65536

const char *share_agent_address(const struct share *s)
{
	return s->qga ? s->qga : *s->config.qga ? s->config.qga : NULL;
}

int share_guest_mount(struct qmp *agent, struct guest_mount *m, struct mn_error *e)
{
	cleanup_free char *text = malloc(MOUNTS_MAX);
	char *save = NULL;
	int n;

	*m = (struct guest_mount){0};
	if (!text)
		return mn_fail_errno(e, ENOMEM, "the guest's mounts");
	n = agent_read_file(agent, "/proc/mounts", text, MOUNTS_MAX, e);
	if (n < 0)
		return n;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char source[64], type[16];

		if (sscanf(line, "%63s %255s %15s %255s", source, m->dir, type, m->options) == 4 &&
		    strcmp(type, "9p") == 0 && strcmp(source, DEVICE_TAG) == 0)
			return 1;
	}
	*m = (struct guest_mount){0};
	return 0;
}

/* Runs a program in the guest that must succeed. */
static int must_run(struct qmp *agent, const char *const words[], struct mn_error *e)
{
	char said[160] = "";
	int status = agent_run(agent, words, said, sizeof(said), e);

	if (status <= 0)
		return status;
	return mn_fail(e, MN_FAILED, EIO, "in the guest, %s ended with status %d: %s", words[0],
		       status, said);
}

static int mount_through(struct qmp *agent, const char *dir, struct mn_error *e)
{
	char options[MOUNT_OPTIONS_MAX + 24] = "nosuid,nodev,noexec,", said[8];
	const char *const modprobe[] = {"modprobe", "-q", "9p", NULL};
	const char *const mkdir[] = {"mkdir", "-p", "--", dir, NULL};
	const char *const mount[] = {"mount", "-t", "9p", "-o", options, DEVICE_TAG, dir, NULL};
	int err;

	mount_options("none", options + strlen(options));
	/* A kernel that has it built in needs no modprobe: mount tells whether it worked. */
	err = agent_run(agent, modprobe, said, sizeof(said), NULL);
	if (err == -ETIMEDOUT)
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT, "modprobe does not end in the guest");
	err = must_run(agent, mkdir, e);
	return err ? err : must_run(agent, mount, e);
}

bool share_same_folder(const char *a, const char *b)
{
	for (;;) {
		size_t len;

		a += strspn(a, "/");
		b += strspn(b, "/");
		len = strcspn(a, "/");
		if (len != strcspn(b, "/") || memcmp(a, b, len) != 0)
			return false;
		if (!len)
			return true;
		a += len;
		b += len;
	}
}

static int mount_once(struct qmp *agent, const char *dir, struct mn_error *e)
{
	struct guest_mount m;
	char there[sizeof(m.dir)];
	int mounted = share_guest_mount(agent, &m, e);

	if (mounted < 0)
		return mounted;
	strcpy(there, m.dir);
	mountinfo_unescape(there); /* and not what is printed: the guest chose it */
	if (mounted && !share_same_folder(there, dir))
		return mn_fail(e, MN_BUSY, EBUSY,
			       "the guest has it mounted on %s already (one mount a device)",
			       m.dir);
	return mounted ? 0 : mount_through(agent, dir, e);
}

int share_mount_through_agent(struct share *s, struct qmp *q)
{
	struct mn_error *e = &s->inv->error;
	const char *address = share_agent_address(s);
	struct qmp *agent = NULL;
	int err;

	share_unlock(s);
	err = device_wait_ready(q, e);
	if (!err)
		err = qmp_open_agent(address, s->deadline_ns, &agent, e);
	if (!err)
		err = mount_once(agent, s->mount_dir, e);
	if (err)
		mn_error_prefix(e, "%s", s->name.vm);
	qmp_close(agent);
	return err;
}
