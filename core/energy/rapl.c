#include "energy/rapl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "energy/attribute.h"

#define PREFIX "intel-rapl"

/* Opens ZONE/FILE; a descriptor or -errno. */
static int open_file(const struct rapl *r, const char *zone, const char *file)
{
	char path[96];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", zone, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = openat(r->rootfd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_line(const struct rapl *r, const char *zone, const char *file, char *buf,
		     size_t size)
{
	cleanup_fd int fd = open_file(r, zone, file);

	return fd < 0 ? fd : attribute_read(fd, buf, size);
}

/* A number, digits only: strtoull() would take signs and spaces. */
static int parse_uj(const char *text, uint64_t *uj)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EBADMSG;
	errno = 0;
	*uj = strtoull(text, &end, 10);
	return *end || errno ? -EBADMSG : 0;
}

static int read_uj(int fd, uint64_t *uj)
{
	char text[32];
	int err = attribute_read(fd, text, sizeof(text));

	if (err)
		return err == -EFBIG ? -EBADMSG : err;
	return parse_uj(text, uj);
}

static int read_range(const struct rapl *r, const char *zone, uint64_t *uj)
{
	cleanup_fd int fd = open_file(r, zone, "max_energy_range_uj");
	int err = fd < 0 ? fd : read_uj(fd, uj);

	return !err && *uj == 0 ? -EBADMSG : err;
}

/* Opens the counter and takes its value as the one to start from. 0 or -errno. */
static int start_zone(const struct rapl *r, struct rapl_zone *z)
{
	cleanup_fd int fd = open_file(r, z->dir, "energy_uj");
	int err = fd < 0 ? fd : read_uj(fd, &z->last_uj);

	if (!err)
		z->fd = STEAL_FD(fd);
	return err;
}

static int fail_file(struct mn_error *e, int err, const char *zone, const char *file)
{
	if (err == -EACCES || err == -EPERM)
		return mn_fail(e, MN_FAILED, EACCES,
			       "%s/%s: permission denied (run as root, or let its group read it)",
			       zone, file);
	return mn_fail_errno(e, -err, "%s/%s", zone, file);
}

/* What there is to find: which names, at which depth. */
enum kind { PACKAGE, DRAM, PSYS, OTHER };

static size_t colons(const char *dir)
{
	size_t n = 0;

	for (; *dir; dir++)
		n += *dir == ':';
	return n;
}

static enum kind kind_of(const char *dir, const char *name)
{
	if (colons(dir) == 2)
		return strcmp(name, "dram") == 0 ? DRAM : OTHER;
	if (strncmp(name, "package", 7) == 0)
		return PACKAGE;
	return strcmp(name, "psys") == 0 ? PSYS : OTHER;
}

static struct rapl_zone *find_by_name(struct rapl *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->zone[i].name, name) == 0)
			return &r->zone[i];
	return NULL;
}

/* Lets the zone count from now on, unless another of that name does. */
static int add_zone(struct rapl *r, const char *dir, const char *name, struct mn_error *e)
{
	struct rapl_zone *z = &r->zone[r->count];
	int err;

	if (find_by_name(r, name))
		return 0;
	if (r->count == RAPL_ZONES)
		return mn_fail_errno(e, E2BIG, "%s", dir);
	if (strlen(dir) >= sizeof(z->dir) || strlen(name) >= sizeof(z->name))
		return mn_fail_errno(e, ENAMETOOLONG, "%s", dir);
	strcpy(z->dir, dir);
	strcpy(z->name, name);
	err = read_range(r, dir, &z->range_uj);
	if (err)
		return fail_file(e, err, dir, "max_energy_range_uj");
	err = start_zone(r, z);
	if (err)
		return fail_file(e, err, dir, "energy_uj");
	r->count++;
	return 0;
}

/* Memory goes by the name of its package, too: two packages have two. */
static int add_dram(struct rapl *r, const char *dir, struct mn_error *e)
{
	char parent[48], package[32], name[48];
	size_t len = (size_t)(strrchr(dir, ':') - dir);

	if (len >= sizeof(parent))
		return 0;
	memcpy(parent, dir, len);
	parent[len] = '\0';
	if (read_line(r, parent, "name", package, sizeof(package)) ||
	    kind_of(parent, package) != PACKAGE)
		return 0;
	snprintf(name, sizeof(name), "%s/dram", package);
	return add_zone(r, dir, name, e);
}

/* Adds the zone if it is of this kind. */
static int consider(struct rapl *r, const char *dir, enum kind kind, struct mn_error *e)
{
	char name[32];
	int err = read_line(r, dir, "name", name, sizeof(name));

	if (err == -ENOENT) /* gone since it was listed, or the control type itself */
		return 0;
	if (err)
		return fail_file(e, err, dir, "name");
	if (kind_of(dir, name) != kind)
		return 0;
	return kind == DRAM ? add_dram(r, dir, e) : add_zone(r, dir, name, e);
}

static int is_zone(const struct dirent *d)
{
	size_t n = colons(d->d_name);

	return strncmp(d->d_name, PREFIX, strlen(PREFIX)) == 0 && (n == 1 || n == 2);
}

/* `intel-rapl` before `intel-rapl-mmio`. */
static int by_control_type(const struct dirent **a, const struct dirent **b)
{
	size_t la = strcspn((*a)->d_name, ":"), lb = strcspn((*b)->d_name, ":");

	return la != lb ? (la > lb) - (la < lb) : strcmp((*a)->d_name, (*b)->d_name);
}

static int consider_all(struct rapl *r, struct dirent **dirs, int n, enum kind kind,
			struct mn_error *e)
{
	int err = 0;

	for (int i = 0; i < n && !err; i++)
		err = consider(r, dirs[i]->d_name, kind, e);
	return err;
}

static int add_all(struct rapl *r, struct dirent **dirs, int n, struct mn_error *e)
{
	int err = consider_all(r, dirs, n, PACKAGE, e);

	if (!err && r->count == 0)
		return consider_all(r, dirs, n, PSYS, e);
	return err ? err : consider_all(r, dirs, n, DRAM, e);
}

static int scan(struct rapl *r, const char *root, struct mn_error *e)
{
	struct dirent **dirs;
	int err, n = scandir(root, &dirs, is_zone, by_control_type);

	if (n < 0)
		return mn_fail_errno(e, errno, "listing the zones");
	err = add_all(r, dirs, n, e);
	for (int i = 0; i < n; i++)
		free(dirs[i]);
	free(dirs);
	if (!err && r->count == 0)
		return mn_fail(e, MN_FAILED, ENOENT, "no RAPL zone");
	return err;
}

int rapl_open(struct rapl *r, const char *root, struct mn_error *e)
{
	int err;

	*r = (struct rapl){.read_ns = clock_ns()};
	r->rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->rootfd < 0)
		return mn_fail_errno(e, errno, "%s", root);
	err = scan(r, root, e);
	if (err)
		mn_error_prefix(e, "%s", root);
	return err;
}

static void close_zone(struct rapl_zone *z)
{
	cleanup_close(&z->fd);
	z->fd = -1;
}

void rapl_close(struct rapl *r)
{
	for (size_t i = 0; i < r->count; i++)
		close_zone(&r->zone[i]);
	r->count = 0;
	cleanup_close(&r->rootfd);
	r->rootfd = -1;
}

static void lose(struct rapl *r, const struct rapl_zone *z, const char *why)
{
	if (r->gaps++ == 0)
		snprintf(r->lost, sizeof(r->lost), "%s (%s): %s", z->name, z->dir, why);
}

/* The most that a zone uses in this time; a counter moves in steps, hence one joule more. */
static double most_uj(double elapsed_s)
{
	return (elapsed_s * RAPL_WATTS_MAX + 1) * 1e6;
}

/* What the zone used, its counter being at `now`. */
static double advance_uj(struct rapl *r, const struct rapl_zone *z, uint64_t now, double elapsed_s)
{
	uint64_t used = now - z->last_uj;

	if (now < z->last_uj) {
		if (z->last_uj > z->range_uj) {
			lose(r, z, "went back from above its range");
			return 0;
		}
		used = z->range_uj - z->last_uj + now;
	}
	if ((double)used > most_uj(elapsed_s)) {
		lose(r, z, "was reset");
		return 0;
	}
	if (most_uj(elapsed_s) > (double)z->range_uj)
		lose(r, z, "may have wrapped twice: it was not read for too long");
	return (double)used;
}

static bool read_zone(struct rapl *r, struct rapl_zone *z, double elapsed_s)
{
	uint64_t now;
	int err = read_uj(z->fd, &now);

	if (err) {
		lose(r, z, err == -EBADMSG ? "no number" : strerror(-err));
		close_zone(z);
		return false;
	}
	r->joules += advance_uj(r, z, now, elapsed_s) * 1e-6;
	z->last_uj = now;
	return true;
}

/* One that was lost counts from where it is now, if it is back. */
static bool find_zone(struct rapl *r, struct rapl_zone *z)
{
	lose(r, z, "was away");
	return start_zone(r, z) == 0;
}

int rapl_read(struct rapl *r)
{
	int64_t now_ns = clock_ns();
	double elapsed_s = (double)(now_ns - r->read_ns) / NS_PER_S;
	size_t seen = 0;

	for (size_t i = 0; i < r->count; i++)
		seen += r->zone[i].fd < 0 ? find_zone(r, &r->zone[i])
					  : read_zone(r, &r->zone[i], elapsed_s);
	r->read_ns = now_ns;
	return seen > 0 ? 0 : -ENODEV;
}

double rapl_period_s(const struct rapl *r)
{
	uint64_t range_uj = UINT64_MAX;

	for (size_t i = 0; i < r->count; i++)
		if (r->zone[i].range_uj < range_uj)
			range_uj = r->zone[i].range_uj;
	return (double)range_uj * 1e-6 / RAPL_WATTS_MAX;
}
