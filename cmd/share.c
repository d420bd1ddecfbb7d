/* memnet share: spaces that come, change size and go while the VM runs. */
#include "cmd/share.h"

static const struct opt args_opts[] = {
	SHARE_OPT_QMP,
	{SHARE_MACHINE, "machine", "q35|pc", "the machine type of the VM (q35)", false},
	{SHARE_LIBVIRT, "libvirt", NULL, "print a fragment of libvirt's domain XML", false},
	OPT_END,
};

static const struct opt create_opts[] = {
	{SHARE_SIZE, "size", "SIZE", "how much it can hold", false},
	{SHARE_INODES, "inodes", "N", "how many files and folders it can hold", false},
	{SHARE_HUGE, "huge", "never|always|within_size|advise", "huge pages (within_size)", false},
	{SHARE_MPOL, "mpol", "POLICY", "NUMA policy, as tmpfs(5) has it", false},
	{SHARE_NOSWAP, "noswap", NULL, "never swap it out (Linux 6.4)", false},
	{SHARE_OWNER, "owner", "USER[:GROUP]", "whom QEMU runs as", false},
	{SHARE_MOUNT, "mount", "DIR", "have the guest agent mount the pool there", false},
	SHARE_OPT_QGA,
	{SHARE_NO_ATTACH, "no-attach", NULL, "do not talk to QEMU: for spaces at boot", false},
	{SHARE_FORCE, "force", NULL, "also with more than the host's memory", false},
	SHARE_OPT_QMP,
	SHARE_OPT_WAIT,
	OPT_END,
};

static const struct opt resize_opts[] = {
	{SHARE_INODES, "inodes", "N", "how many files and folders it can hold", false},
	{SHARE_MPOL, "mpol", "POLICY", "NUMA policy, as tmpfs(5) has it", false},
	{SHARE_FORCE, "force", NULL, "also to more than the host's memory", false},
	SHARE_OPT_WAIT,
	OPT_END,
};

static const struct opt destroy_opts[] = {
	{SHARE_FORCE, "force", NULL, "also with objects in it, or open files", false},
	SHARE_OPT_WAIT,
	OPT_END,
};

static const struct opt attach_opts[] = {
	{SHARE_OWNER, "owner", "USER[:GROUP]", "whom QEMU runs as", false},
	SHARE_OPT_QMP,
	SHARE_OPT_WAIT,
	OPT_END,
};

static const struct opt qmp_opts[] = {SHARE_OPT_QMP, SHARE_OPT_WAIT, OPT_END};

static const struct opt check_opts[] = {SHARE_OPT_QMP, SHARE_OPT_QGA, SHARE_OPT_WAIT, OPT_END};

static const struct opt mount_opts[] = {
	{SHARE_CACHE, "cache", "none|mmap", "none, or mmap where MAP_SHARED is needed", false},
	SHARE_OPT_WAIT,
	OPT_END,
};

static const struct command verbs[] = {
	{"qemu-args", "print what a VM must be started with", "VM", args_opts, "n", share_qemu_args,
	 NULL},
	{"check", "look at each requirement", "[VM]", check_opts, "jH", share_check, NULL},
	{"create", "make a space in a running VM", "VM/SPACE", create_opts, "jn", share_create,
	 NULL},
	{"resize", "change a space's size while it is in use", "VM/SPACE S|+S|-S", resize_opts,
	 "jn", share_resize, NULL},
	{"list", "list spaces", "[VM]", qmp_opts, "jHp", share_list, NULL},
	{"show", "show all about a space", "VM/SPACE", qmp_opts, "jHp", share_show, NULL},
	{"destroy", "take a space away", "VM/SPACE", destroy_opts, "n", share_destroy, NULL},
	{"attach", "plug the VM's pool into it", "VM", attach_opts, "n", share_attach_verb, NULL},
	{"detach", "unplug the VM's pool, for a migration", "VM", qmp_opts, "n", share_detach_verb,
	 NULL},
	{"mount", "in the guest: mount the pool", "[TAG] [DIR]", mount_opts, "n", share_mount,
	 NULL},
	{"umount", "in the guest: unmount the pool", "[DIR]", NULL, "n", share_umount, NULL},
	{NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct command command_share = {
	.name = "share",
	.summary = "Sized pieces of RAM, shared with a running VM",
	.verbs = verbs,
};
