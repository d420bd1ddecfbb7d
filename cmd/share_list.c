/* list and show: what there is, as the kernel and QEMU have it now. */
#include "cmd/share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/output.h"
#include "qmp/device.h"

/* A VM that does not answer must not hold up the list of the others. */
#define LIST_WAIT_NS NS_PER_S

static const struct column columns[] = {
	{"space", "SPACE", COLUMN_TEXT},	  {"size_bytes", "SIZE", COLUMN_SIZE},
	{"used_bytes", "USED", COLUMN_SIZE},	  {"available_bytes", "AVAIL", COLUMN_SIZE},
	{"objects", "OBJECTS", COLUMN_NUMBER},	  {"parts", "WRITING", COLUMN_NUMBER},
	{"inodes_used", "INODES", COLUMN_NUMBER}, {"guest", "GUEST", COLUMN_TEXT},
	{"migration", "MIGRATION", COLUMN_TEXT},  {NULL, NULL, COLUMN_TEXT},
};

static const struct column show_columns[] = {
	{"space", "space", COLUMN_TEXT},
	{"path", "path", COLUMN_TEXT},
	{"size_bytes", "size", COLUMN_SIZE},
	{"used_bytes", "used", COLUMN_SIZE},
	{"available_bytes", "available", COLUMN_SIZE},
	{"peak_bytes", "peak", COLUMN_SIZE},
	{"objects", "objects", COLUMN_NUMBER},
	{"object_bytes", "in objects", COLUMN_SIZE},
	{"parts", "being written", COLUMN_NUMBER},
	{"part_bytes", "in these", COLUMN_SIZE},
	{"inodes", "inodes", COLUMN_NUMBER},
	{"inodes_used", "inodes used", COLUMN_NUMBER},
	{"huge", "huge pages", COLUMN_TEXT},
	{"noswap", "noswap", COLUMN_TEXT},
	{"mpol", "memory policy", COLUMN_TEXT},
	{"read_only", "read-only", COLUMN_TEXT},
	{"holder", "open by", COLUMN_TEXT},
	{"vm_state", "VM", COLUMN_TEXT},
	{"guest", "guest", COLUMN_TEXT},
	{"migration", "migration", COLUMN_TEXT},
	{"blocker", "because", COLUMN_TEXT},
	{NULL, NULL, COLUMN_TEXT},
};

/* What QEMU says of a VM; asked once for all its spaces. */
struct vm_view {
	char vm[NAME_PART_MAX + 1];
	bool answered, absent; /* absent: nobody listens at its monitor */
	const char *trouble;   /* in the place of an answer */
	struct device_state state;
};

struct listing {
	struct share *s;
	cJSON *rows;
	struct vm_view view;
};

static void look_at_vm(struct share *s, const char *vm, struct vm_view *v)
{
	struct share one = *s;
	struct mn_error e = MN_ERROR_INIT;
	struct qmp *q = NULL;
	char path[PATH_MAX];

	*v = (struct vm_view){.trouble = "no answer"};
	strcpy(v->vm, vm);
	strcpy(one.name.vm, vm);
	if (config_vm(&s->inv->common, vm, &one.config, &e) == 0 &&
	    qmp_open(share_monitor(&one, path),
		     clock_ns() + (s->wait_ns < 0 ? LIST_WAIT_NS : s->wait_ns), &q, &e) == 0)
		v->answered = device_look(q, &v->state, &e) == 0;
	v->absent = e.status == MN_ABSENT;
	if (v->absent)
		v->trouble = "not running";
	qmp_close(q);
}

/* How far the guest is with the pool, in a word. */
static const char *guest_word(const struct vm_view *v)
{
	if (!v->answered)
		return v->trouble;
	if (!v->state.plugged)
		return "detached";
	if (v->state.mounted)
		return "mounted";
	return v->state.driver == DRIVER_READY ? "ready" : device_driver_name(v->state.driver);
}

static void add_vm(cJSON *row, const struct vm_view *v)
{
	cJSON_AddStringToObject(row, "guest", guest_word(v));
	if (!v->answered)
		return;
	cJSON_AddStringToObject(row, "vm_state", v->state.run_state);
	cJSON_AddStringToObject(row, "driver",
				v->state.plugged ? device_driver_name(v->state.driver) : "absent");
	cJSON_AddStringToObject(row, "migration", *v->state.blocker ? "blocked" : "free");
	if (*v->state.blocker)
		cJSON_AddStringToObject(row, "blocker", v->state.blocker);
}

static void add_figures(cJSON *row, const struct space_info *info)
{
	struct space_census census;
	bool counted = space_count(info, 0, &census) == 0;

	cJSON_AddNumberToObject(row, "size_bytes", (double)info->size_bytes);
	cJSON_AddNumberToObject(row, "used_bytes", (double)info->used_bytes);
	cJSON_AddNumberToObject(row, "available_bytes",
				(double)(info->size_bytes - info->used_bytes));
	cJSON_AddNumberToObject(row, "peak_bytes", (double)info->peak_bytes);
	if (counted) {
		cJSON_AddNumberToObject(row, "objects", (double)census.objects);
		cJSON_AddNumberToObject(row, "object_bytes", (double)census.bytes);
		cJSON_AddNumberToObject(row, "parts", (double)census.parts);
		cJSON_AddNumberToObject(row, "part_bytes", (double)census.part_bytes);
	}
	cJSON_AddNumberToObject(row, "inodes", (double)info->inodes);
	cJSON_AddNumberToObject(row, "inodes_used", (double)info->inodes_used);
}

static void add_settings(cJSON *row, const struct space_info *info)
{
	cJSON_AddStringToObject(row, "huge", *info->huge ? info->huge : "never");
	cJSON_AddBoolToObject(row, "noswap", info->noswap);
	if (*info->mpol)
		cJSON_AddStringToObject(row, "mpol", info->mpol);
	cJSON_AddBoolToObject(row, "read_only", info->read_only);
}

cJSON *share_row(const struct space_info *info)
{
	cJSON *row = cJSON_CreateObject();
	char name[2 * NAME_PART_MAX + 2];

	snprintf(name, sizeof(name), "%s/%s", info->name.vm, info->name.space);
	cJSON_AddStringToObject(row, "space", name);
	cJSON_AddStringToObject(row, "path", info->path);
	add_figures(row, info);
	add_settings(row, info);
	return row;
}

static int list_one(const struct space_info *info, void *context)
{
	struct listing *l = context;
	cJSON *row;

	if (*l->s->name.vm && strcmp(info->name.vm, l->s->name.vm) != 0)
		return 0;
	if (strcmp(l->view.vm, info->name.vm) != 0)
		look_at_vm(l->s, info->name.vm, &l->view);
	row = share_row(info);
	add_vm(row, &l->view);
	cJSON_AddItemToArray(l->rows, row);
	return 0;
}

/* A name that no space has: a VM without spaces, or one that is not there. 0 or -errno. */
static int check_known(struct share *s)
{
	const char *vm = s->name.vm;
	struct vm_view view;
	char path[PATH_MAX];

	if (!*vm || pool_mounted(s->inv->common.runtime_dir, vm))
		return 0;
	look_at_vm(s, vm, &view);
	if (!view.absent)
		return 0;
	return mn_fail(&s->inv->error, MN_ABSENT, ENOENT,
		       "%s: no such VM: it has no space, and nobody listens at %s (see memnet "
		       "share list)",
		       vm, share_monitor(s, path));
}

/* The operand, if there is one, and what the configuration says of it. */
static int begin_list(struct share *s)
{
	struct invocation *inv = s->inv;
	int err = inv->operand_count ? name_check_vm(inv->operands[0], &inv->error) : 0;

	if (err && strchr(inv->operands[0], '/'))
		mn_fail(&inv->error, MN_USAGE, EINVAL,
			"%.64s: want a VM (of one space: memnet share show)", inv->operands[0]);
	if (err)
		return err;
	if (s->qmp && !inv->operand_count)
		return mn_fail(&inv->error, MN_USAGE, EINVAL,
			       "--qmp is the monitor of one VM: name it");
	snprintf(s->name.vm, sizeof(s->name.vm), "%s", inv->operand_count ? inv->operands[0] : "");
	return config_vm(&inv->common, s->name.vm, &s->config, &inv->error);
}

int share_list(struct invocation *inv)
{
	struct share s;
	struct listing l = {.s = &s};
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 0, 1) || begin_list(&s))
		return command_fail(inv);
	l.rows = cJSON_CreateArray();
	err = inventory_each(inv->common.runtime_dir, list_one, &l);
	if (err)
		mn_fail_errno(&inv->error, -err, "%s", inv->common.runtime_dir);
	else if (cJSON_GetArraySize(l.rows) == 0)
		err = check_known(&s);
	if (err) {
		cJSON_Delete(l.rows);
		return command_fail(inv);
	}
	output_rows(&inv->common, columns, "spaces", l.rows);
	return MN_OK;
}

int share_show(struct invocation *inv)
{
	struct share s;
	struct space_info info;
	struct vm_view view;
	cJSON *row;
	char holder[64];
	int err;

	if (share_options(&s, inv) || opts_operands(inv, 1, 1))
		return command_fail(inv);
	err = name_parse(inv->operands[0], &s.name, &inv->error);
	if (!err)
		err = config_vm(&inv->common, s.name.vm, &s.config, &inv->error);
	if (!err)
		err = inventory_find(inv->common.runtime_dir, &s.name, &info, &inv->error);
	if (err)
		return command_fail(inv);
	row = share_row(&info);
	space_holder(&info, holder, sizeof(holder));
	if (*holder)
		cJSON_AddStringToObject(row, "holder", holder);
	look_at_vm(&s, s.name.vm, &view);
	add_vm(row, &view);
	output_object(&inv->common, show_columns, row);
	return MN_OK;
}
