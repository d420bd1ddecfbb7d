/* Plugging and unplugging against scripted monitors: each trouble a VM can have. */
#include <errno.h>

#include "base/clock.h"
#include "qmp/device.h"
#include "tests/qmp/server.h"
#include "tests/tap.h"

#define Q35   "< qom-get\n= \"pc-q35-7.2-machine\"\n"
#define PC    "< qom-get\n= \"pc-i440fx-7.2-machine\"\n"
#define LIST  "< qom-list\n= "
#define EMPTY LIST "[]\n"
#define PORT  "{\"name\":\"memnet-port\",\"type\":\"child<pcie-root-port>\"}"
#define PORT2 "{\"name\":\"pci.7\",\"type\":\"child<pcie-root-port>\"}"
#define NIC   "{\"name\":\"net0\",\"type\":\"child<virtio-net-pci>\"}"
#define OURS  "{\"name\":\"memnet\",\"type\":\"child<virtio-9p-pci>\"}"
#define TAKEN LIST "[{\"name\":\"child[3]\",\"type\":\"link<x>\"}]\n"
#define ADDED "< device_add\n= {}\n"

typedef int action(struct qmp *q, struct mn_error *e);

static void expect_within(int64_t wait_ns, const char *name, action *act, const char *script,
			  int want, enum mn_status status, const char *words)
{
	struct mn_error e = MN_ERROR_INIT;
	struct server s;
	struct qmp *q;
	char whole[16384];
	int err;

	snprintf(whole, sizeof(whole), "%s%s", READY, script);
	err = server_connect(&s, whole, 20 * NS_PER_S, &q, &e);
	if (!err) {
		qmp_set_deadline(q, clock_ns() + wait_ns);
		err = act(q, &e);
	}
	is_int(err, want, "%s", name);
	if (want < 0) {
		is_int(e.status, status, "%s: exit status", name);
		if (!ok(strstr(e.text, words) != NULL, "%s: says \"%s\"", name, words))
			diag("%s", e.text);
	}
	qmp_close(q);
	is_int(server_end(&s), 0, "%s: the script was played", name);
}

static void expect(const char *name, action *act, const char *script, int want,
		   enum mn_status status, const char *words)
{
	expect_within(20 * NS_PER_S, name, act, script, want, status, words);
}

static void test_plug(void)
{
	expect("q35 with our port", device_plug,
	       LIST "[" PORT "]\n" Q35 LIST "[" PORT "]\n" EMPTY ADDED, 1, 0, "");
	expect("pc needs no port", device_plug, EMPTY PC ADDED, 1, 0, "");
	expect("plugged already", device_plug, LIST "[" PORT "," OURS "]\n", 0, 0, "");
	expect("our port taken, another free", device_plug,
	       EMPTY Q35 LIST "[" PORT "," NIC "," PORT2 "]\n" TAKEN EMPTY ADDED, 1, 0, "");
	expect("every port taken", device_plug, EMPTY Q35 LIST "[" PORT "," PORT2 "]\n" TAKEN TAKEN,
	       -EBUSY, MN_BUSY, "every PCIe root port is occupied");
	expect("no port", device_plug, EMPTY Q35 LIST "[" NIC "]\n", -ENODEV, MN_FAILED,
	       "no PCIe root port");
	expect("no fsdev", device_plug,
	       EMPTY PC
	       "< device_add\n! GenericError 9pfs device couldn't find fsdev with the id = "
	       "memnet\n",
	       -ENODEV, MN_FAILED, "qemu-args");
	expect("no 9p", device_plug,
	       EMPTY PC "< device_add\n! GenericError 'virtio-9p-pci' is not a valid device model "
			"name\n",
	       -ENODEV, MN_FAILED, "--enable-virtfs");
	expect("no ACPI", device_plug,
	       EMPTY PC "< device_add\n! GenericError Bus 'pci.0' does not support hotplugging\n",
	       -ENODEV, MN_FAILED, "<acpi/>");
	expect("no pool folder", device_plug,
	       EMPTY PC "< device_add\n! GenericError cannot initialize fsdev 'memnet': failed to "
			"open '/run/memnet/web1': No such file or directory\n",
	       -ENOENT, MN_FAILED, "cannot open the pool");
	expect("any other refusal", device_plug,
	       EMPTY PC "< device_add\n! GenericError out of luck\n", -EREMOTEIO, MN_FAILED,
	       "out of luck");
}

/* Answers of the wrong shape: nothing is found, nothing crashes, nothing is taken for done. */
static void test_nonsense(void)
{
	expect("a list that is none", device_plug, LIST "7\n", -EPROTO, MN_FAILED,
	       "lists no devices");
	expect("a list of ports that is none", device_plug,
	       EMPTY Q35 LIST "{\"name\":\"memnet-port\"}\n", -EPROTO, MN_FAILED,
	       "lists no devices");
	expect("no list of what to unplug", device_unplug, LIST "{}\n", -EPROTO, MN_FAILED,
	       "lists no devices");
	expect("children without names", device_plug,
	       LIST "[{},7,{\"name\":7},null]\n" Q35 LIST
		    "[{\"type\":\"child<pcie-root-port>\"},{\"name\":{},\"type\":[]},"
		    "{\"name\":\"../x\",\"type\":\"child<pcie-root-port>\"}]\n",
	       -EBUSY, MN_BUSY, "occupied");
	expect("a machine that is no string", device_plug, EMPTY "< qom-get\n= null\n" EMPTY,
	       -ENODEV, MN_FAILED, "no PCIe root port");
}

#define VIRTIO(words) "x-query-virtio-status {\"status\":{\"statuses\":[" words "]}}\n"
#define SEEN	      "\"VIRTIO_CONFIG_S_ACKNOWLEDGE: seen\""
#define DRIVES	      SEEN ",\"VIRTIO_CONFIG_S_DRIVER_OK: runs\""
#define STATE(s, r)   "@ query-status {\"status\":\"" s "\",\"running\":" r "}\n"
#define RUNS	      STATE("running", "true")
#define SHORT	      NS_PER_S

static void test_ready(void)
{
	expect("the driver comes up", device_wait_ready,
	       "< "
	       "x-query-virtio-status\n= {\"status\":{\"statuses\":[]}}\n"
	       "< x-query-virtio-status\n= {\"status\":{\"statuses\":[" SEEN "]}}\n"
	       "@ " VIRTIO(DRIVES) "serve\n",
	       0, 0, "");
	expect("QEMU cannot tell", device_wait_ready,
	       "< x-query-virtio-status\n! CommandNotFound no such command\n", 0, 0, "");
	expect("no sense in it", device_wait_ready, "< x-query-virtio-status\n= {\"status\":[7]}\n",
	       0, 0, "");
	expect_within(SHORT, "no guest", device_wait_ready, "@ " VIRTIO("") RUNS "serve\n",
		      -ETIMEDOUT, MN_TIMEOUT, "no guest has seen it");
	expect_within(SHORT, "no driver", device_wait_ready, "@ " VIRTIO(SEEN) RUNS "serve\n",
		      -ETIMEDOUT, MN_TIMEOUT, "modprobe 9pnet_virtio");
	expect_within(SHORT, "a failed driver", device_wait_ready,
		      "@ " VIRTIO(SEEN ",\"VIRTIO_CONFIG_S_FAILED: no\"") RUNS "serve\n",
		      -ETIMEDOUT, MN_TIMEOUT, "dmesg");
	expect_within(SHORT, "a paused VM", device_wait_ready,
		      "@ " VIRTIO("") STATE("paused", "false") "serve\n", -ETIMEDOUT, MN_TIMEOUT,
		      "the VM is paused");
}

#define BLOCKED(by)  "@ query-migrate {\"blocked-reasons\":[\"" by "\"]}\n"
#define FREE	     "@ query-migrate {}\n"
#define MOUNTED	     BLOCKED("VirtFS export path '/x' is mounted in the guest using mount_tag 'memnet'")
#define HERE	     "@ qom-list [" OURS "]\n"
#define BEGIN_UNPLUG LIST "[" OURS "]\n< query-migrate\n= {}\n"

static void test_unplug(void)
{
	expect("not plugged", device_unplug, EMPTY, 0, 0, "");
	expect("gone after two events", device_unplug,
	       BEGIN_UNPLUG "< device_del\n= {}\n" LIST "[" OURS "]\n"
			    "> {\"event\":\"DEVICE_DELETED\",\"data\":{\"path\":\"x\"}}\n" LIST
			    "[" OURS "]\n> {\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":"
			    "\"memnet\"}}\n" EMPTY,
	       0, 0, "");
	expect("gone before the request", device_unplug,
	       BEGIN_UNPLUG "< device_del\n! DeviceNotFound Device 'memnet' not found\n", 0, 0, "");
	expect("asked for before", device_unplug,
	       BEGIN_UNPLUG
	       "< device_del\n! GenericError Device memnet is already in the process of "
	       "unplug\n" EMPTY,
	       0, 0, "");
	expect("refused by the guest", device_unplug,
	       BEGIN_UNPLUG "< device_del\n= {}\n" LIST "[" OURS "]\n"
			    "> {\"event\":\"DEVICE_UNPLUG_GUEST_ERROR\",\"data\":{\"device\":"
			    "\"memnet\"}}\n",
	       -EBUSY, MN_BUSY, "the guest refuses");
	expect("other devices refused by the guest", device_unplug,
	       BEGIN_UNPLUG "< device_del\n= {}\n" LIST "[" OURS "]\n"
			    "> {\"event\":\"DEVICE_UNPLUG_GUEST_ERROR\",\"data\":{\"device\":"
			    "\"dimm0\"}}\n" LIST "[" OURS "]\n"
			    "> {\"event\":\"DEVICE_UNPLUG_GUEST_ERROR\",\"data\":7}\n" EMPTY,
	       0, 0, "");
	expect_within(SHORT, "mounted: nothing is asked for", device_unplug, HERE MOUNTED "serve\n",
		      -EBUSY, MN_BUSY, "memnet share umount");
	expect_within(SHORT, "the guest does not let go", device_unplug,
		      HERE FREE "@ device_del {}\nserve\n", -ETIMEDOUT, MN_TIMEOUT,
		      "does not let the device go");
}

static struct device_state looked;

static int look(struct qmp *q, struct mn_error *e)
{
	return device_look(q, &looked, e);
}

static void test_look(void)
{
	expect("a mounted pool", look, HERE MOUNTED RUNS "@ " VIRTIO(DRIVES) "serve\n", 0, 0, "");
	ok(looked.plugged && looked.mounted && looked.running && looked.driver == DRIVER_READY,
	   "all of it is seen");
	ok(strstr(looked.blocker, "VirtFS") != NULL, "and what blocks migration");
	expect("another blocker", look, "@ qom-list []\n" BLOCKED("vfio") RUNS "serve\n", 0, 0, "");
	ok(!looked.plugged && !looked.mounted, "is not our mount");
	is_str(looked.blocker, "vfio", "but blocks all the same");
	expect("a QEMU that knows no blockers", look,
	       "< query-status\n= {}\n" EMPTY "< query-migrate\n! CommandNotFound x\n", 0, 0, "");
	ok(!looked.running && !*looked.blocker, "nothing is made up");
}

/* A connection that breaks anywhere leaves an error; what was done is found by the next. */
static void test_broken_anywhere(void)
{
	static const char script[] = READY LIST "[" PORT "]\n" Q35 LIST "[" PORT "]\n" EMPTY ADDED;
	long bytes = 0;
	int err = -1, wrong = 0;

	while (err != 1 && bytes < 2000) {
		struct mn_error e = MN_ERROR_INIT;
		struct server s;
		struct qmp *q;

		server_budget = bytes++;
		err = server_connect(&s, script, 20 * NS_PER_S, &q, &e);
		if (!err)
			err = device_plug(q, &e);
		wrong += err != 1 && (err != -EPIPE || !*e.text);
		qmp_close(q);
		server_end(&s);
	}
	server_budget = -1;
	is_int(wrong, 0, "broken after each of %ld bytes", bytes);
	is_int(err, 1, "and whole at the end");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_plug();
	test_nonsense();
	test_ready();
	test_unplug();
	test_look();
	test_broken_anywhere();
	return done_testing();
}
