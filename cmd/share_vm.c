/* Finding a VM: its configuration, its lock, its monitor, its user. */
#include "cmd/share.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/options.h"
#include "qmp/device.h"
#include "space/reach.h"

#define WAIT_DEFAULT_NS (10 * NS_PER_S)
/* A QEMU just started listens soon; a name mistyped never does, and should be told of soon. */
#define MONITOR_WAIT_NS NS_PER_S

static int take_size(const char *text, uint64_t *size, struct mn_error *e)
{
	int err = parse_size(text, size, e);

	if (!err && *size < SPACE_SIZE_MIN)
		err = mn_fail(e, MN_USAGE, EINVAL, "bad size \"%.64s\": want 64K or more", text);
	return err;
}

static int take_inodes(const char *text, uint64_t *inodes, struct mn_error *e)
{
	int64_t n;
	int err = parse_number(text, "number of inodes", 16, 1LL << 40, &n, e);

	if (!err)
		*inodes = (uint64_t)n;
	return err;
}

static int take_huge(const char *text, const char **huge, struct mn_error *e)
{
	static const char *const known[] = {"never", "always", "within_size", "advise"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(text, known[i]) == 0) {
			*huge = text;
			return 0;
		}
	}
	return mn_fail(e, MN_USAGE, EINVAL,
		       "bad --huge \"%.32s\": want never, always, within_size or advise", text);
}

static int take_option(struct share *s, int key, const char *value)
{
	struct mn_error *e = &s->inv->error;

	switch (key) {
	case SHARE_QMP: s->qmp = value; return 0;
	case SHARE_QGA: s->qga = value; return 0;
	case SHARE_OWNER: s->owner = value; return 0;
	case SHARE_MOUNT: s->mount_dir = value; return 0;
	case SHARE_MACHINE: s->machine = value; return 0;
	case SHARE_CACHE: s->cache = value; return 0;
	case SHARE_MPOL: s->tmpfs.mpol = value; return 0;
	case SHARE_NOSWAP: s->tmpfs.noswap = true; return 0;
	case SHARE_NO_ATTACH: s->no_attach = true; return 0;
	case SHARE_FORCE: s->force = true; return 0;
	case SHARE_LIBVIRT: s->libvirt = true; return 0;
	case SHARE_SIZE: return take_size(value, &s->tmpfs.size_bytes, e);
	case SHARE_INODES: return take_inodes(value, &s->tmpfs.inodes, e);
	case SHARE_HUGE: return take_huge(value, &s->tmpfs.huge, e);
	case SHARE_WAIT: return parse_duration(value, &s->wait_ns, e);
	default: return -EINVAL;
	}
}

int share_options(struct share *s, struct invocation *inv)
{
	int key;

	*s = (struct share){.inv = inv, .wait_ns = -1, .lock = -1};
	while ((key = opts_next(inv)) >= 0) {
		if (take_option(s, key, inv->value))
			return OPTS_BAD;
	}
	return key == OPTS_BAD ? OPTS_BAD : 0;
}

static int begin(struct share *s)
{
	s->monitor_wait_ns = s->wait_ns < 0 ? MONITOR_WAIT_NS : s->wait_ns;
	if (s->wait_ns < 0)
		s->wait_ns = WAIT_DEFAULT_NS;
	s->deadline_ns = clock_ns() + s->wait_ns;
	return config_vm(&s->inv->common, s->name.vm, &s->config, &s->inv->error);
}

int share_begin_vm(struct share *s, const char *operand)
{
	int err = name_check_vm(operand, &s->inv->error);

	if (err)
		return err;
	strcpy(s->name.vm, operand);
	return begin(s);
}

int share_begin_space(struct share *s, const char *operand)
{
	int err = name_parse(operand, &s->name, &s->inv->error);

	return err ? err : begin(s);
}

const char *share_object(const struct share *s, char buf[2 * NAME_PART_MAX + 2])
{
	snprintf(buf, 2 * NAME_PART_MAX + 2, "%s%s%s", s->name.vm, *s->name.space ? "/" : "",
		 s->name.space);
	return buf;
}

int share_lock(struct share *s)
{
	char object[2 * NAME_PART_MAX + 2];

	s->lock = pool_lock(s->inv->common.runtime_dir, s->name.vm, s->wait_ns, &s->inv->error);
	/* What was waited for another command is not taken from QEMU's and the guest's time. */
	s->deadline_ns = clock_ns() + s->wait_ns;
	if (s->lock >= 0)
		return 0;
	mn_error_prefix(&s->inv->error, "%s", share_object(s, object));
	return s->lock;
}

void share_unlock(struct share *s)
{
	cleanup_close(&s->lock);
	s->lock = -1;
}

int share_end(struct share *s, int err)
{
	share_unlock(s);
	return err ? command_fail(s->inv) : MN_OK;
}

const char *share_monitor(const struct share *s, char buf[PATH_MAX])
{
	if (s->qmp)
		return s->qmp;
	if (*s->config.qmp)
		return s->config.qmp;
	return pool_monitor_path(s->inv->common.runtime_dir, s->name.vm, buf) ? "" : buf;
}

/* Nothing tells when a socket appears but looking; MN_ABSENT when none did. */
static int open_monitor(struct share *s, struct qmp **q)
{
	struct mn_error *e = &s->inv->error;
	int64_t until = clock_ns() + s->monitor_wait_ns;
	char path[PATH_MAX];

	for (;;) {
		int err = qmp_open(share_monitor(s, path), s->deadline_ns, q, e);

		if (!err || e->status != MN_ABSENT || clock_left_ms(until) == 0)
			return err;
		poll(NULL, 0, 20);
	}
}

int share_connect(struct share *s, struct qmp **q)
{
	struct mn_error *e = &s->inv->error;
	char text[sizeof(e->text)];
	int err = open_monitor(s, q);

	if (!err)
		return 0;
	if (e->status == MN_ABSENT) {
		memcpy(text, e->text, sizeof(text));
		return mn_fail(
			e, MN_ABSENT, -err,
			"%s: %.200s (start the VM with what memnet share qemu-args %s prints, "
			"or say where its monitor is with --qmp)",
			s->name.vm, text, s->name.vm);
	}
	if (e->status != MN_USAGE)
		mn_error_prefix(e, "%s", s->name.vm);
	return err;
}

pid_t share_qemu(const struct qmp *q)
{
	return q ? qmp_peer(q) : 0;
}

/* As it is now: QEMU may have dropped root after it began to listen. */
int share_qemu_owner(const struct qmp *q, uid_t *uid, gid_t *gid)
{
	char path[40];
	struct stat st;
	pid_t pid = share_qemu(q);

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (pid <= 0 || stat(path, &st) < 0)
		return -ESRCH;
	*uid = st.st_uid;
	*gid = st.st_gid;
	return 0;
}

/* A user's or group's number; the last one there is means "as it is" to chown(2). */
static bool is_id(const char *text, unsigned int *id)
{
	int64_t n;

	if (parse_number(text, "number", 0, UINT32_MAX - 1, &n, NULL))
		return false;
	*id = (unsigned int)n;
	return true;
}

/* "USER[:GROUP]", names or numbers. */
static int parse_owner(const char *text, uid_t *uid, gid_t *gid, struct mn_error *e)
{
	char user[128], *group;
	struct passwd *pw;
	struct group *gr;

	snprintf(user, sizeof(user), "%s", text);
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	pw = getpwnam(user);
	if (pw)
		*uid = pw->pw_uid;
	else if (!is_id(user, uid))
		return mn_fail(e, MN_USAGE, EINVAL, "bad owner \"%.64s\": no such user", text);
	*gid = pw ? pw->pw_gid : (gid_t)*uid;
	if (!group)
		return 0;
	gr = getgrnam(group);
	if (gr)
		*gid = gr->gr_gid;
	else if (!is_id(group, gid))
		return mn_fail(e, MN_USAGE, EINVAL, "bad owner \"%.64s\": no such group", text);
	return 0;
}

int share_find_owner(struct share *s, const struct qmp *q, uid_t *uid, gid_t *gid)
{
	const char *said = s->owner ? s->owner : s->config.owner;

	if (*said)
		return parse_owner(said, uid, gid, &s->inv->error);
	if (share_qemu_owner(q, uid, gid) == 0 ||
	    pool_owner(s->inv->common.runtime_dir, s->name.vm, uid, gid) == 0)
		return 0;
	*uid = geteuid();
	*gid = getegid();
	return 0;
}

pid_t share_pool_server(const struct qmp *q, const char *path)
{
	pid_t pid = share_qemu(q);
	int held;

	if (pid <= 0)
		return reach_holder(path);
	held = reach_held_by(pid, path);
	return held > 0 ? pid : held;
}

/* After device_plug(): what was opened must be our pool, not a folder of the same name. */
static int verify_pool(struct share *s, const struct qmp *q)
{
	struct mn_error *e = &s->inv->error;
	char path[PATH_MAX];
	pid_t pid = share_qemu(q);

	if (pool_path(s->inv->common.runtime_dir, s->name.vm, path) ||
	    share_pool_server(q, path) != 0)
		return 0;
	if (pid <= 0)
		return mn_fail(e, MN_FAILED, ESTALE,
			       "%s: QEMU serves another folder than %s, which no process has open "
			       "(is the path of its fsdev another VM's, or is it in another mount "
			       "namespace?)",
			       s->name.vm, path);
	if (reach_seen_by(pid, path) == 0)
		return mn_fail(
			e, MN_FAILED, EXDEV,
			"%s: QEMU (process %d) is in another mount namespace, and what is "
			"mounted here does not reach it (mount --make-rshared /, and start it "
			"again)",
			s->name.vm, (int)pid);
	return mn_fail(
		e, MN_FAILED, ESTALE,
		"%s: QEMU (process %d) serves another folder than %s (memnet share detach %s, "
		"then attach)",
		s->name.vm, (int)pid, path, s->name.vm);
}

int share_check_reach(const struct share *s, const struct qmp *q, struct mn_error *e)
{
	char path[PATH_MAX], barred[PATH_MAX];
	uid_t uid;
	gid_t gid;

	if (share_qemu_owner(q, &uid, &gid) || uid == geteuid() ||
	    pool_path(s->inv->common.runtime_dir, s->name.vm, path) ||
	    reach_barred_to(uid, gid, path, barred) != 1)
		return 0;
	return mn_fail(e, MN_FAILED, EACCES,
		       "QEMU runs as user %u, who cannot pass through %.160s (chmod o+x %.160s, or "
		       "another --runtime-dir)",
		       uid, barred, barred);
}

/* A device that leads elsewhere, and that we plugged: the guest shall not have it. */
#define TAKE_BACK_NS (3 * NS_PER_S)
static void take_back(struct qmp *q)
{
	int64_t deadline_ns = qmp_deadline(q);

	qmp_set_deadline(q, clock_ns() + TAKE_BACK_NS);
	device_unplug(q, NULL);
	qmp_set_deadline(q, deadline_ns);
}

/* Only QEMU's own word, after all that was asked of it, tells that it is not about to open it. */
void share_drop_pool(const struct share *s, struct qmp *q)
{
	if (!q || device_plugged(q, NULL) == 0)
		pool_remove(s->inv->common.runtime_dir, s->name.vm);
}

int share_attach(struct share *s, struct qmp *q)
{
	struct mn_error *e = &s->inv->error;
	cleanup_fd int poolfd = -1;
	uid_t uid;
	gid_t gid;
	int plugged = 0, err = share_find_owner(s, q, &uid, &gid);

	if (err)
		return err;
	/* Nothing is made for a QEMU that is not there: a command tells when it is first run. */
	if (!qmp_has_events(q))
		err = device_plugged(q, e);
	if (err >= 0) {
		poolfd = pool_make(s->inv->common.runtime_dir, s->name.vm, uid, gid, e);
		err = poolfd < 0 ? poolfd : share_check_reach(s, q, e);
	}
	if (!err)
		err = plugged = device_plug(q, e);
	if (err < 0) {
		mn_error_prefix(e, "%s", s->name.vm);
		return err;
	}
	err = verify_pool(s, q);
	if (err && plugged)
		take_back(q);
	return err ? err : STEAL_FD(poolfd);
}
