#include "qmp/device.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define PERIPHERAL "/machine/peripheral"

const char *device_driver_name(enum device_driver driver)
{
	static const char *const names[] = {
		[DRIVER_UNKNOWN] = "unknown", [DRIVER_UNSEEN] = "unseen",
		[DRIVER_MISSING] = "missing", [DRIVER_FAILED] = "failed",
		[DRIVER_READY] = "ready",
	};

	return names[driver];
}

/* *list is an array, or unchanged: what does not list is no QEMU, and no word of what it has. */
static int list_children(struct qmp *q, const char *path, cJSON **list, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	int err = qmp_call(q, "qom-list", qmp_strings("path", path, NULL), &reply, e);

	if (err)
		return err;
	if (!cJSON_IsArray(reply))
		return mn_fail(e, MN_FAILED, EPROTO,
			       "the monitor lists no devices (is it QEMU's own?)");
	*list = STEAL_PTR(reply);
	return 0;
}

/* The QOM type of a peripheral, "child<TYPE>" without the frame, or "". */
static void child_type(const cJSON *child, char type[64])
{
	const char *t = json_string(child, "type");

	if (!t || sscanf(t, "child<%63[^>]>", type) != 1)
		type[0] = '\0';
}

static const cJSON *find_child(const cJSON *list, const char *name)
{
	const cJSON *child;

	cJSON_ArrayForEach (child, list) {
		const char *have = json_string(child, "name");

		if (have && strcmp(have, name) == 0)
			return child;
	}
	return NULL;
}

int device_plugged(struct qmp *q, struct mn_error *e)
{
	cleanup_json cJSON *list = NULL;
	int err = list_children(q, PERIPHERAL, &list, e);

	return err ? err : find_child(list, DEVICE_ID) != NULL;
}

/* Whether a root port's bus holds a device. 1, 0 or -errno. */
static int port_occupied(struct qmp *q, const char *port, struct mn_error *e)
{
	cleanup_json cJSON *list = NULL;
	const cJSON *child;
	char path[200];
	int err;

	snprintf(path, sizeof(path), PERIPHERAL "/%s/%s", port, port);
	err = list_children(q, path, &list, e);
	if (err)
		return err;
	cJSON_ArrayForEach (child, list) {
		const char *name = json_string(child, "name");

		if (name && strncmp(name, "child[", 6) == 0)
			return 1;
	}
	return 0;
}

/* Takes `port` if it is free. 1 if so, 0 if not, or -errno. */
static int try_port(struct qmp *q, const char *port, char bus[DEVICE_BUS_MAX], struct mn_error *e)
{
	int occupied;

	if (strlen(port) >= DEVICE_BUS_MAX || strchr(port, '/'))
		return 0;
	occupied = port_occupied(q, port, e);
	if (occupied)
		return occupied < 0 ? occupied : 0;
	strcpy(bus, port);
	return 1;
}

static bool is_root_port(const cJSON *child)
{
	char type[64];

	child_type(child, type);
	return strcmp(type, "pcie-root-port") == 0 || strcmp(type, "ioh3420") == 0;
}

/* Ours first, then any free one that has a name. */
static int find_port(struct qmp *q, char bus[DEVICE_BUS_MAX], struct mn_error *e)
{
	cleanup_json cJSON *list = NULL;
	const cJSON *child;
	int ports = 0, err = list_children(q, PERIPHERAL, &list, e);

	if (err)
		return err;
	if (find_child(list, DEVICE_PORT)) {
		ports++;
		err = try_port(q, DEVICE_PORT, bus, e);
		if (err)
			return err < 0 ? err : 0;
	}
	cJSON_ArrayForEach (child, list) {
		const char *name = json_string(child, "name");

		if (!name || !is_root_port(child) || strcmp(name, DEVICE_PORT) == 0)
			continue;
		ports++;
		err = try_port(q, name, bus, e);
		if (err)
			return err < 0 ? err : 0;
	}
	if (ports)
		return mn_fail(
			e, MN_BUSY, EBUSY,
			"every PCIe root port is occupied (start the VM with one more: memnet "
			"share qemu-args)");
	return mn_fail(e, MN_FAILED, ENODEV,
		       "the VM has no PCIe root port to plug into (start it with what memnet share "
		       "qemu-args prints)");
}

int device_find_bus(struct qmp *q, char bus[DEVICE_BUS_MAX], struct mn_error *e)
{
	cleanup_json cJSON *type = NULL;
	const char *machine;
	int err = qmp_call(q, "qom-get", qmp_strings("path", "/machine", "property", "type", NULL),
			   &type, e);

	if (err)
		return err;
	machine = cJSON_GetStringValue(type);
	if (machine && strstr(machine, "i440fx")) {
		strcpy(bus, "pci.0");
		return 0;
	}
	return find_port(q, bus, e);
}

/* Turns QEMU's words about device_add into what to do about it. */
static int explain_refusal(struct qmp *q, int err, struct mn_error *e)
{
	const char *words = qmp_refusal(q);

	if (err != -EREMOTEIO)
		return err;
	if (strstr(words, "couldn't find fsdev"))
		return mn_fail(
			e, MN_FAILED, ENODEV,
			"the VM was not started with a pool (start it with what memnet share "
			"qemu-args prints)");
	if (strstr(words, "does not support hotplugging"))
		return mn_fail(e, MN_FAILED, ENODEV,
			       "%s (give the VM ACPI; in libvirt: <features><acpi/></features>)",
			       words);
	if (strstr(words, "not a valid device model"))
		return mn_fail(e, MN_FAILED, ENODEV,
			       "this QEMU has no virtio-9p (install one that was built with "
			       "--enable-virtfs)");
	if (strstr(words, "failed to open") || strstr(words, "cannot initialize fsdev"))
		return mn_fail(e, MN_FAILED, ENOENT,
			       "QEMU cannot open the pool: %s (does it see the same folder as this "
			       "command, and may its user enter it?)",
			       words);
	return err;
}

int device_plug(struct qmp *q, struct mn_error *e)
{
	char bus[DEVICE_BUS_MAX];
	int err = device_plugged(q, e);

	if (err)
		return err < 0 ? err : 0;
	err = device_find_bus(q, bus, e);
	if (err)
		return err;
	err = qmp_call(q, "device_add",
		       qmp_strings("driver", "virtio-9p-pci", "id", DEVICE_ID, "fsdev",
				   DEVICE_FSDEV, "mount_tag", DEVICE_TAG, "bus", bus, NULL),
		       NULL, e);
	return err ? explain_refusal(q, err, e) : 1;
}

/*
 * The words of x-query-virtio-status; the bits mean: the guest's bus driver has seen the device, a
 * driver has matched, it runs. Each of them starts with its name.
 */
static enum device_driver driver_from_status(const cJSON *reply)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(reply, "status"), *word;
	enum device_driver driver = DRIVER_UNSEEN;

	if (!cJSON_IsObject(status))
		return DRIVER_UNKNOWN;
	cJSON_ArrayForEach (word, cJSON_GetObjectItemCaseSensitive(status, "statuses")) {
		const char *text = cJSON_GetStringValue(word);

		if (!text)
			continue;
		if (strncmp(text, "VIRTIO_CONFIG_S_FAILED", 22) == 0)
			return DRIVER_FAILED;
		if (strncmp(text, "VIRTIO_CONFIG_S_DRIVER_OK", 25) == 0)
			driver = DRIVER_READY;
		else if (driver == DRIVER_UNSEEN)
			driver = DRIVER_MISSING;
	}
	return driver;
}

static int look_driver(struct qmp *q, enum device_driver *driver, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	int err = qmp_call(q, "x-query-virtio-status",
			   qmp_strings("path", PERIPHERAL "/" DEVICE_ID "/virtio-backend", NULL),
			   &reply, e);

	*driver = DRIVER_UNKNOWN;
	if (err)
		return err == -EREMOTEIO ? 0 : err;
	*driver = driver_from_status(reply);
	return 0;
}

static int look_migration(struct qmp *q, struct device_state *state, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	const cJSON *reason;
	int err = qmp_call(q, "query-migrate", NULL, &reply, e);

	if (err)
		return err == -EREMOTEIO ? 0 : err;
	cJSON_ArrayForEach (reason, cJSON_GetObjectItemCaseSensitive(reply, "blocked-reasons")) {
		const char *text = cJSON_GetStringValue(reason);

		if (!text)
			continue;
		if (strstr(text, "mount_tag '" DEVICE_TAG "'"))
			state->mounted = true;
		if (!state->blocker[0])
			snprintf(state->blocker, sizeof(state->blocker), "%s", text);
	}
	return 0;
}

static int look_run_state(struct qmp *q, struct device_state *state, struct mn_error *e)
{
	cleanup_json cJSON *reply = NULL;
	const char *text;
	int err = qmp_call(q, "query-status", NULL, &reply, e);

	if (err)
		return err;
	text = json_string(reply, "status");
	state->running = json_true(reply, "running");
	snprintf(state->run_state, sizeof(state->run_state), "%s", text ? text : "unknown");
	return 0;
}

int device_look(struct qmp *q, struct device_state *state, struct mn_error *e)
{
	int plugged, err;

	*state = (struct device_state){0};
	err = look_run_state(q, state, e);
	if (err)
		return err;
	plugged = device_plugged(q, e);
	if (plugged < 0)
		return plugged;
	state->plugged = plugged;
	if (plugged) {
		err = look_driver(q, &state->driver, e);
		if (err)
			return err;
	}
	return look_migration(q, state, e);
}

/* Between two looks: a monitor behind a command costs a process and libvirt's time for each. */
static void pause_between_looks(const struct qmp *q, int milliseconds)
{
	poll(NULL, 0, qmp_has_events(q) ? milliseconds : 100);
}

/*
 * Waiting asks QEMU again and again until a deadline, and the last answer must have the time to
 * arrive: a guest that is late is not a QEMU that is silent.
 */
#define GRACE_NS NS_PER_S

static int wait_with_grace(struct qmp *q, int (*wait)(struct qmp *, int64_t, struct mn_error *),
			   struct mn_error *e)
{
	int64_t until = qmp_deadline(q);
	int err;

	qmp_set_deadline(q, until + GRACE_NS);
	err = wait(q, until, e);
	qmp_set_deadline(q, until);
	return err;
}

static int fail_not_ready(struct qmp *q, enum device_driver driver, struct mn_error *e)
{
	struct device_state state = {0};
	int err = look_run_state(q, &state, e);

	if (!err && !state.running)
		return mn_fail(
			e, MN_TIMEOUT, ETIMEDOUT,
			"the device is plugged, but the VM is %s (let it run: virsh resume, or "
			"cont at its monitor)",
			state.run_state);
	switch (driver) {
	case DRIVER_MISSING:
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "the guest sees the device but no driver takes it (in the guest: "
			       "modprobe 9pnet_virtio)");
	case DRIVER_FAILED:
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "the guest's driver failed on the device (in the guest: dmesg)");
	default:
		return mn_fail(e, MN_TIMEOUT, ETIMEDOUT,
			       "the device is plugged, but no guest has seen it (is an operating "
			       "system up, with ACPI, PCI hotplug and virtio_pci?)");
	}
}

/* Nothing tells when a driver has bound: the virtio status has no event. */
static int wait_ready(struct qmp *q, int64_t until, struct mn_error *e)
{
	for (;;) {
		enum device_driver driver;
		int err = look_driver(q, &driver, e);

		if (err)
			return err;
		if (driver == DRIVER_READY || driver == DRIVER_UNKNOWN)
			return 0;
		if (clock_left_ms(until) == 0)
			return fail_not_ready(q, driver, e);
		pause_between_looks(q, 5);
	}
}

int device_wait_ready(struct qmp *q, struct mn_error *e)
{
	return wait_with_grace(q, wait_ready, e);
}

/* Whether the guest refuses to give up our device: of a DIMM it may, meanwhile. */
static bool is_our_refusal(const cJSON *event)
{
	const char *name = json_string(event, "event");
	const char *device = json_string(cJSON_GetObjectItemCaseSensitive(event, "data"), "device");

	return name && device && strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR") == 0 &&
	       strcmp(device, DEVICE_ID) == 0;
}

/* Waits a little, or until any event, which is a reason to look again. 0 or -errno. */
static int wait_a_little(struct qmp *q, int64_t deadline_ns, struct mn_error *e)
{
	int64_t until = clock_ns() + 100 * NS_PER_MS;
	cleanup_json cJSON *event = NULL;
	int err;

	if (!qmp_has_events(q)) {
		pause_between_looks(q, 0);
		return 0;
	}
	err = qmp_event(q, until < deadline_ns ? until : deadline_ns, &event, e);
	if (err)
		return err == -ETIMEDOUT ? 0 : err;
	if (is_our_refusal(event))
		return mn_fail(
			e, MN_BUSY, EBUSY,
			"the guest refuses to give the device up (in the guest: memnet share "
			"umount; dmesg)");
	return 0;
}

/*
 * While a filesystem on it is mounted, the guest's driver sits on the device, and the request would
 * stay with it and strike at the next unmount, whenever that is: it is made only when it can be
 * met.
 */
static int wait_unmounted(struct qmp *q, int64_t until, struct mn_error *e)
{
	for (;;) {
		struct device_state state = {0};
		int err = look_migration(q, &state, e);

		if (err || !state.mounted)
			return err;
		if (clock_left_ms(until) == 0)
			return mn_fail(
				e, MN_BUSY, EBUSY,
				"the guest has it mounted (in the guest: memnet share umount)");
		pause_between_looks(q, 20);
	}
}

/* The object is gone from the tree in the same breath as the second DEVICE_DELETED is sent. */
static int wait_gone(struct qmp *q, int64_t until, struct mn_error *e)
{
	for (;;) {
		int err = device_plugged(q, e);

		if (err <= 0)
			return err;
		if (clock_left_ms(until) == 0)
			return mn_fail(
				e, MN_TIMEOUT, ETIMEDOUT,
				"the guest does not let the device go (no operating system up, "
				"or the VM is paused; it goes at the next reset of the VM)");
		err = wait_a_little(q, until, e);
		if (err)
			return err;
	}
}

int device_wait_unmounted(struct qmp *q, struct mn_error *e)
{
	return wait_with_grace(q, wait_unmounted, e);
}

int device_unplug(struct qmp *q, struct mn_error *e)
{
	int err = device_plugged(q, e);

	if (err <= 0)
		return err;
	err = device_wait_unmounted(q, e);
	if (err)
		return err;
	err = qmp_call(q, "device_del", qmp_strings("id", DEVICE_ID, NULL), NULL, e);
	if (err == -EREMOTEIO && strcmp(qmp_refusal_class(q), "DeviceNotFound") == 0)
		return 0;
	if (err && !(err == -EREMOTEIO && strstr(qmp_refusal(q), "in the process of unplug")))
		return err;
	return wait_with_grace(q, wait_gone, e);
}
