#include "space/inventory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "space/mountinfo.h"

static void take_option(struct space_info *info, const char *option)
{
	if (strncmp(option, "size=", 5) == 0)
		info->size_bytes = strtoull(option + 5, NULL, 10) * 1024; /* "size=1024k" */
	else if (strcmp(option, "ro") == 0)
		info->read_only = true;
	else if (strcmp(option, "noswap") == 0)
		info->noswap = true;
	else if (strncmp(option, "huge=", 5) == 0)
		snprintf(info->huge, sizeof(info->huge), "%s", option + 5);
	else if (strncmp(option, "mpol=", 5) == 0)
		snprintf(info->mpol, sizeof(info->mpol), "%s", option + 5);
}

/* Whether the line is a space's, beneath `root`; the name and options go to *info. */
static bool take_space(struct mountinfo *m, const char *root, struct space_info *info)
{
	size_t len = strlen(root);
	char *save = NULL;

	if (!mountinfo_is_ours(m) || strncmp(m->path, root, len) != 0 || m->path[len] != '/' ||
	    strlen(m->path) >= sizeof(info->path))
		return false;
	memset(info, 0, offsetof(struct space_info, path));
	if (name_parse(m->path + len + 1, &info->name, NULL))
		return false;
	strcpy(info->path, m->path);
	info->device = makedev(m->major, m->minor);
	info->size_bytes = 0;
	info->read_only = info->noswap = false;
	info->huge[0] = info->mpol[0] = '\0';
	for (char *o = strtok_r(m->options, ",", &save); o; o = strtok_r(NULL, ",", &save))
		take_option(info, o);
	return true;
}

/*
 * The kernel keeps no high-water mark of a tmpfs, but an attribute of its root, which goes when it
 * goes: whoever looks raises it. Only real root may; elsewhere the mark is what is used now. The
 * guest could write it too, and harms itself at most.
 */
#define PEAK_ATTRIBUTE "trusted.memnet.peak"

static uint64_t raise_peak(const char *path, uint64_t used)
{
	uint64_t peak = 0;
	char text[24];
	ssize_t n = lgetxattr(path, PEAK_ATTRIBUTE, text, sizeof(text) - 1);

	if (n > 0) {
		text[n] = '\0';
		peak = strtoull(text, NULL, 10);
	}
	if (peak >= used)
		return peak;
	n = snprintf(text, sizeof(text), "%" PRIu64, used);
	(void)lsetxattr(path, PEAK_ATTRIBUTE, text, (size_t)n, 0);
	return used;
}

static int fill_figures(struct space_info *info)
{
	struct statvfs v;

	if (statvfs(info->path, &v) < 0)
		return -errno;
	info->size_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	info->used_bytes = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	info->peak_bytes = raise_peak(info->path, info->used_bytes);
	info->inodes = v.f_files;
	info->inodes_used = v.f_files - v.f_ffree;
	return 0;
}

struct space_list {
	const char *root; /* the run-time folder as the kernel calls it */
	struct space_info **items;
	size_t count, capacity;
};

static void space_list_fini(struct space_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
}

static int space_list_add(struct space_list *l, const struct space_info *info)
{
	struct space_info *copy = malloc(sizeof(*copy));

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		void *items = realloc(l->items, capacity * sizeof(*l->items));

		if (!items) {
			free(copy);
			return -ENOMEM;
		}
		l->items = items;
		l->capacity = capacity;
	}
	if (!copy)
		return -ENOMEM;
	*copy = *info;
	l->items[l->count++] = copy;
	return 0;
}

static int collect(struct mountinfo *m, void *context)
{
	struct space_list *l = context;
	struct space_info info;

	return take_space(m, l->root, &info) ? space_list_add(l, &info) : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct space_info *x = *(struct space_info *const *)a;
	const struct space_info *y = *(struct space_info *const *)b;
	int order = strcmp(x->name.vm, y->name.vm);

	return order ? order : strcmp(x->name.space, y->name.space);
}

/* Two mounts on one folder have one name: statvfs(2) sees the upper one, which is what counts. */
static int visit(struct space_list *l, int (*fn)(const struct space_info *, void *), void *context)
{
	int err = 0;

	qsort(l->items, l->count, sizeof(*l->items), by_name);
	for (size_t i = 0; !err && i < l->count; i++) {
		if (i > 0 && by_name(&l->items[i - 1], &l->items[i]) == 0)
			continue;
		if (fill_figures(l->items[i]) == 0) /* else it has just gone */
			err = fn(l->items[i], context);
	}
	return err;
}

int inventory_each(const char *runtime_dir, int (*fn)(const struct space_info *, void *),
		   void *context)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	struct space_list l = {.root = root};
	int err;

	if (!root)
		return errno == ENOENT ? 0 : -errno;
	err = mountinfo_each(collect, &l);
	if (!err && l.count)
		err = visit(&l, fn, context);
	space_list_fini(&l);
	return err;
}

struct search {
	const char *root;
	const struct space_name *name;
	struct space_info *info;
	uint64_t all_bytes;
	bool found;
};

static int match(struct mountinfo *m, void *context)
{
	struct search *s = context;
	struct space_info info;

	if (!take_space(m, s->root, &info))
		return 0;
	/* The kernel does not print the size that a tmpfs has when nobody gives it one. */
	if (info.size_bytes || fill_figures(&info) == 0)
		s->all_bytes += info.size_bytes;
	if (strcmp(info.name.vm, s->name->vm) != 0 || strcmp(info.name.space, s->name->space) != 0)
		return 0;
	*s->info = info;
	s->found = true; /* and on: a later line is a mount on top */
	return 0;
}

int inventory_find(const char *runtime_dir, const struct space_name *name, struct space_info *info,
		   struct mn_error *e)
{
	cleanup_free char *root = realpath(runtime_dir, NULL);
	struct search s = {.root = root, .name = name, .info = info};
	int err = root ? mountinfo_each(match, &s) : 0;

	if (!s.found)
		memset(info, 0, sizeof(*info));
	info->all_bytes = s.all_bytes;
	if (!err && s.found)
		err = fill_figures(info);
	if (err)
		return mn_fail_errno(e, -err, "%s/%s", name->vm, name->space);
	if (!s.found)
		return mn_fail(e, MN_ABSENT, ENOENT, "%s/%s: no such space (see memnet share list)",
			       name->vm, name->space);
	return 0;
}
