/* check: each requirement of a space, one by one. */
#include "cmd/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "qmp/device.h"
#include "space/probe.h"
#include "space/ram.h"
#include "space/reach.h"

enum verdict {
	CHECK_OK,
	CHECK_NOTE, /* good to know; a space works */
	CHECK_BAD,  /* no space would work */
};

struct checks {
	struct share *s;
	struct qmp *q;
	cJSON *rows;
	enum mn_status status; /* of the first that is bad */
	uint64_t sizes_bytes;  /* of the VM's spaces */
};

static const struct column columns[] = {
	{"result", "RESULT", COLUMN_TEXT},
	{"check", "CHECK", COLUMN_TEXT},
	{"detail", "DETAIL", COLUMN_TEXT},
	{NULL, NULL, COLUMN_TEXT},
};

__attribute__((format(printf, 4, 5))) static void add(struct checks *c, enum verdict verdict,
						      const char *what, const char *fmt, ...)
{
	static const char *const words[] = {"OK", "note", "BAD"};
	cJSON *row = cJSON_CreateObject();
	char detail[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	cJSON_AddStringToObject(row, "result", words[verdict]);
	cJSON_AddStringToObject(row, "check", what);
	cJSON_AddStringToObject(row, "detail", detail);
	cJSON_AddItemToArray(c->rows, row);
	if (verdict == CHECK_BAD && c->status == MN_OK)
		c->status = MN_FAILED;
}

/* A requirement that a core function looked at: what it said is the detail. */
static void add_error(struct checks *c, const char *what, const struct mn_error *e)
{
	if (c->status == MN_OK)
		c->status = e->status;
	add(c, CHECK_BAD, what, "%s", e->text);
}

/* The host. */

static void check_mounts(struct checks *c)
{
	int err = probe_mount_api();

	if (err == -EPERM)
		add(c, CHECK_BAD, "mounts", "not allowed (run as root)");
	else if (err)
		add(c, CHECK_BAD, "mounts", "fsopen: %s (want Linux 5.12 or later)",
		    strerror(-err));
	else
		add(c, CHECK_OK, "mounts", "tmpfs through fsopen");
}

static void check_kernel(struct checks *c)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	if (probe_user_xattr())
		add(c, CHECK_OK, "attributes", "tmpfs keeps user.*: mapped-xattr");
	else
		add(c, CHECK_OK, "attributes",
		    "tmpfs of Linux %.32s keeps no user.* (6.6 does): mapped-file", u.release);
	if (probe_noswap())
		add(c, CHECK_OK, "noswap", "tmpfs can be kept from swap");
	else
		add(c, CHECK_NOTE, "noswap",
		    "create --noswap will fail (wants Linux 6.4 and root)");
	if (probe_huge())
		add(c, CHECK_OK, "huge pages", "tmpfs takes huge=within_size");
	else
		add(c, CHECK_NOTE, "huge pages", "none for tmpfs: writes are slower");
}

static void check_runtime(struct checks *c)
{
	struct mn_error e = MN_ERROR_INIT;
	const char *dir = c->s->inv->common.runtime_dir;

	if (pool_runtime_make(dir, &e))
		add_error(c, "run-time folder", &e);
	else
		add(c, CHECK_OK, "run-time folder", "%s", dir);
}

/* The VM. */

/* A command that reaches a monitor is not known to work before it was run once. */
static int check_monitor(struct checks *c)
{
	struct mn_error *e = &c->s->inv->error;
	cleanup_json cJSON *reply = NULL;
	const cJSON *version;
	int64_t major = 0, minor = 0;
	char path[PATH_MAX];
	int err = share_connect(c->s, &c->q);

	if (!err)
		err = qmp_call(c->q, "query-version", NULL, &reply, e);
	if (err) {
		add_error(c, "monitor", e);
		return err;
	}
	version = cJSON_GetObjectItemCaseSensitive(reply, "qemu");
	json_integer(version, "major", 0, 1000, &major);
	json_integer(version, "minor", 0, 1000, &minor);
	add(c, CHECK_OK, "monitor", "QEMU %d.%d at %s", (int)major, (int)minor,
	    share_monitor(c->s, path));
	return 0;
}

static void check_9p(struct checks *c)
{
	struct mn_error e = MN_ERROR_INIT;
	int err = qmp_call(c->q, "device-list-properties",
			   qmp_strings("typename", "virtio-9p-pci", NULL), NULL, &e);

	if (err == -EREMOTEIO)
		add(c, CHECK_BAD, "9p",
		    "this QEMU has no virtio-9p (install one built with "
		    "--enable-virtfs)");
	else if (err)
		add_error(c, "9p", &e);
	else
		add(c, CHECK_OK, "9p", "virtio-9p-pci");
}

static bool declares_ours(const char *arg)
{
	static const char id[] = ",id=" DEVICE_FSDEV;
	const char *at = strncmp(arg, "local,", 6) == 0 ? strstr(arg, id) : NULL;

	return at && (at[strlen(id)] == ',' || at[strlen(id)] == '\0');
}

/* The argument of QEMU's that declares our fsdev, from its command line; NULL if there is none. */
static const char *find_fsdev(const char *args, size_t size)
{
	for (const char *arg = args; arg < args + size; arg += strlen(arg) + 1) {
		if (declares_ours(arg))
			return arg;
	}
	return NULL;
}

static void check_fsdev_argument(struct checks *c, const char *fsdev)
{
	if (!fsdev)
		add(c, CHECK_BAD, "pool",
		    "the VM was not started with one (start it with what memnet share qemu-args %s "
		    "prints)",
		    c->s->name.vm);
	else if (!strstr(fsdev, "multidevs=remap"))
		add(c, CHECK_BAD, "pool",
		    "multidevs=remap is missing: spaces would be hidden or "
		    "collide (start the VM with what qemu-args prints)");
	else if (!strstr(fsdev, "security_model=mapped"))
		add(c, CHECK_BAD, "pool",
		    "security_model=mapped-xattr or mapped-file is missing: a "
		    "guest could make links and setuid files on the host (start "
		    "the VM with what qemu-args prints)");
	else
		add(c, CHECK_OK, "pool", "%s", fsdev);
}

/* Nothing at a monitor lists the declared fsdevs; its process's arguments do: 6 MB at the most. */
#define ARGS_MAX (6u << 20)

static void check_fsdev(struct checks *c)
{
	cleanup_free char *args = malloc(ARGS_MAX);
	char path[40];
	pid_t pid = share_qemu(c->q);
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (pid > 0 && args)
		n = io_read_file(AT_FDCWD, path, args, ARGS_MAX);
	if (n <= 0)
		add(c, CHECK_NOTE, "pool", "unknown: QEMU's process is not known here");
	else
		check_fsdev_argument(c, find_fsdev(args, (size_t)n));
}

static void check_port(struct checks *c, const struct device_state *state)
{
	struct mn_error e = MN_ERROR_INIT;
	char bus[DEVICE_BUS_MAX];

	if (state->plugged)
		add(c, CHECK_OK, "device", "plugged");
	else if (device_find_bus(c->q, bus, &e))
		add_error(c, "device", &e);
	else
		add(c, CHECK_OK, "device", "not plugged yet; %s is free for it", bus);
}

static void check_pool(struct checks *c, const struct device_state *state)
{
	char path[PATH_MAX];
	pid_t server;

	if (!state->plugged || pool_path(c->s->inv->common.runtime_dir, c->s->name.vm, path))
		return;
	server = share_pool_server(c->q, path);
	if (server > 0)
		add(c, CHECK_OK, "folder", "QEMU (process %d) serves %s", (int)server, path);
	else if (server < 0 && server != -ENOENT)
		add(c, CHECK_NOTE, "folder",
		    "unknown: what QEMU's process has open is not shown here");
	else
		add(c, CHECK_BAD, "folder",
		    "QEMU does not serve %s: another folder, or another mount namespace (memnet "
		    "share detach %s, then attach)",
		    path, c->s->name.vm);
}

/* Where QEMU's process is not known: what the configuration says, or a guess. */
static void add_told_owner(struct checks *c, uid_t uid)
{
	if (*c->s->config.owner)
		add(c, CHECK_OK, "owner", "user %u, as the configuration says", uid);
	else
		add(c, CHECK_NOTE, "owner",
		    "user %u: whom QEMU runs as is not known here (say it: owner = in the "
		    "configuration)",
		    uid);
}

/* A space belongs to QEMU's user, or the guest can do nothing in it. */
static void check_owner(struct checks *c)
{
	struct mn_error e = MN_ERROR_INIT;
	const char *runtime_dir = c->s->inv->common.runtime_dir, *vm = c->s->name.vm;
	uid_t uid, pool_uid;
	gid_t gid, pool_gid;
	bool pool = pool_owner(runtime_dir, vm, &pool_uid, &pool_gid) == 0;

	if (share_qemu_owner(c->q, &uid, &gid)) {
		if (share_find_owner(c->s, c->q, &uid, &gid))
			add_error(c, "owner", &c->s->inv->error);
		else
			add_told_owner(c, uid);
	} else if (share_check_reach(c->s, c->q, &e)) {
		add_error(c, "owner", &e);
	} else if (pool && pool_uid != uid) {
		add(c, CHECK_BAD, "owner",
		    "QEMU runs as user %u, and the pool is user %u's (memnet share attach %s)", uid,
		    pool_uid, vm);
	} else {
		add(c, CHECK_OK, "owner", "user %u, whom QEMU runs as", uid);
	}
}

static int add_size(const struct space_info *info, void *context)
{
	struct checks *c = context;

	if (strcmp(info->name.vm, c->s->name.vm) == 0)
		c->sizes_bytes += info->size_bytes;
	return 0;
}

/* What the guest writes counts as QEMU's memory: libvirt's <hard_limit>, systemd's MemoryMax=. */
static void check_limit(struct checks *c)
{
	uint64_t limit;
	char a[16], b[16];

	if (ram_limit_of(share_qemu(c->q), &limit) != 1)
		return;
	inventory_each(c->s->inv->common.runtime_dir, add_size, c);
	add(c, c->sizes_bytes >= limit ? CHECK_BAD : CHECK_NOTE, "memory limit",
	    "QEMU's cgroup may use %s, its spaces of %s included, or is killed%s",
	    format_size(limit, a), format_size(c->sizes_bytes, b),
	    c->sizes_bytes >= limit ? " (raise the limit, or resize them)" : "");
}

static void check_driver(struct checks *c, const struct device_state *state)
{
	if (!state->running)
		add(c, CHECK_BAD, "guest", "the VM is %s (let it run: virsh resume, or cont)",
		    state->run_state);
	else if (!state->plugged)
		add(c, CHECK_NOTE, "guest", "its driver shows when the device is plugged (attach)");
	else if (state->driver == DRIVER_READY)
		add(c, CHECK_OK, "guest", "its driver runs%s", state->mounted ? ", mounted" : "");
	else if (state->driver == DRIVER_UNKNOWN)
		add(c, CHECK_NOTE, "guest", "this QEMU (before 7.2) cannot tell of its driver");
	else if (state->driver == DRIVER_MISSING)
		add(c, CHECK_BAD, "guest",
		    "it has no driver (in the guest: modprobe 9pnet_virtio)");
	else if (state->driver == DRIVER_FAILED)
		add(c, CHECK_BAD, "guest", "its driver failed (in the guest: dmesg)");
	else
		add(c, CHECK_BAD, "guest",
		    "it has not seen the device (is an operating system up?)");
}

static void check_migration(struct checks *c, const struct device_state *state)
{
	if (*state->blocker)
		add(c, CHECK_NOTE, "migration",
		    "blocked: %s (before one: umount in the guest, then "
		    "memnet share detach %s)",
		    state->blocker, c->s->name.vm);
	else
		add(c, CHECK_OK, "migration", "not blocked");
}

/* What only the guest knows: how it mounted the pool. */
static void check_mount(struct checks *c)
{
	struct mn_error e = MN_ERROR_INIT;
	struct guest_mount m;
	struct qmp *agent = NULL;
	const char *address = share_agent_address(c->s);
	int mounted;

	if (!address)
		return;
	mounted = qmp_open_agent(address, c->s->deadline_ns, &agent, &e);
	if (!mounted)
		mounted = share_guest_mount(agent, &m, &e);
	qmp_close(agent);
	if (mounted < 0)
		add_error(c, "mount", &e);
	else if (!mounted)
		add(c, CHECK_NOTE, "mount", "not mounted (in the guest: memnet share mount)");
	else if (strstr(m.options, "loose") || strstr(m.options, "fscache"))
		add(c, CHECK_BAD, "mount",
		    "%s: this cache mode loses data when a space is full (mount it with memnet "
		    "share "
		    "mount)",
		    m.dir);
	else if (!strstr(m.options, "msize=512000"))
		add(c, CHECK_NOTE, "mount", "%s: slow without msize=512000 (memnet share mount)",
		    m.dir);
	else
		add(c, CHECK_OK, "mount", "%s %s", m.dir, m.options);
}

static void check_vm(struct checks *c)
{
	struct mn_error e = MN_ERROR_INIT;
	struct device_state state;

	if (check_monitor(c))
		return;
	check_9p(c);
	check_fsdev(c);
	if (device_look(c->q, &state, &e)) {
		add_error(c, "device", &e);
		return;
	}
	check_port(c, &state);
	check_pool(c, &state);
	check_owner(c);
	check_limit(c);
	check_driver(c, &state);
	check_mount(c);
	check_migration(c, &state);
}

int share_check(struct invocation *inv)
{
	struct share s;
	struct checks c = {.s = &s};

	if (share_options(&s, inv) || opts_operands(inv, 0, 1))
		return command_fail(inv);
	if (inv->operand_count && share_begin_vm(&s, inv->operands[0]))
		return command_fail(inv);
	c.rows = cJSON_CreateArray();
	check_mounts(&c);
	check_kernel(&c);
	check_runtime(&c);
	if (inv->operand_count)
		check_vm(&c);
	qmp_close(c.q);
	output_rows(&inv->common, columns, "checks", c.rows);
	return (int)c.status;
}
