/* qemu-args: what a VM must be started with. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qmp/device.h"
#include "space/probe.h"

/*
 * The words are split by the shell that started us, and QEMU splits them at commas: a path with
 * either kind of character would need quoting that no shell undoes here.
 */
static int check_path(const char *path, struct mn_error *e)
{
	if (strpbrk(path, " \t\n,*?[\\'\"$`<>&"))
		return mn_fail(
			e, MN_USAGE, EINVAL,
			"cannot pass \"%.200s\" to QEMU: white space, commas and quotes in it "
			"(choose another --runtime-dir)",
			path);
	return 0;
}

/* "/run/x.sock" of a --qmp that is a socket; NULL for exec:, where the monitor is libvirt's. */
static const char *monitor_socket(const char *address)
{
	if (strncmp(address, "exec:", 5) == 0)
		return NULL;
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
}

static void print_words(const char *pool, const char *socket, const char *model, bool port)
{
	printf("-fsdev local,id=%s,path=%s,security_model=%s,multidevs=remap\n", DEVICE_FSDEV, pool,
	       model);
	if (port)
		printf("-device pcie-root-port,id=%s,chassis=250\n", DEVICE_PORT);
	if (socket)
		printf("-qmp unix:%s,server=on,wait=off\n", socket);
}

static void print_libvirt_word(const char *word)
{
	printf("  <qemu:arg value='%s'/>\n", word);
}

/*
 * A fragment for <domain>: libvirt passes it on as it is. The monitor stays libvirt's own, reached
 * with --qmp "exec:virsh qemu-monitor-command VM".
 */
static void print_libvirt(const char *pool, const char *model, bool port)
{
	char word[PATH_MAX + 128];

	printf("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n");
	print_libvirt_word("-fsdev");
	snprintf(word, sizeof(word), "local,id=%s,path=%s,security_model=%s,multidevs=remap",
		 DEVICE_FSDEV, pool, model);
	print_libvirt_word(word);
	if (port) {
		print_libvirt_word("-device");
		print_libvirt_word("pcie-root-port,id=" DEVICE_PORT ",chassis=250,addr=0x1e");
	}
	printf("</qemu:commandline>\n");
}

static int print_args(struct share *s)
{
	struct mn_error *e = &s->inv->error;
	const char *runtime_dir = s->inv->common.runtime_dir;
	const char *model = probe_user_xattr() ? "mapped-xattr" : "mapped-file", *socket;
	char pool[PATH_MAX], monitor[PATH_MAX];
	bool port = !s->machine || strcmp(s->machine, "q35") == 0;
	int err;

	if (s->machine && !port && strcmp(s->machine, "pc") != 0)
		return mn_fail(e, MN_USAGE, EINVAL, "bad --machine \"%.32s\": want q35 or pc",
			       s->machine);
	if (pool_path(runtime_dir, s->name.vm, pool))
		return mn_fail_errno(e, ENAMETOOLONG, "%.64s", runtime_dir);
	socket = monitor_socket(share_monitor(s, monitor));
	err = check_path(pool, e);
	if (!err && socket)
		err = check_path(socket, e);
	if (!err && !s->inv->common.dry_run)
		err = pool_runtime_make(runtime_dir, e); /* QEMU makes its socket there */
	if (err)
		return err;
	if (s->libvirt)
		print_libvirt(pool, model, port);
	else
		print_words(pool, socket, model, port);
	return 0;
}

int share_qemu_args(struct invocation *inv)
{
	struct share s;
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 1, 1))
		return command_fail(inv);
	err = share_begin_vm(&s, inv->operands[0]);
	if (!err)
		err = print_args(&s);
	return share_end(&s, err);
}
