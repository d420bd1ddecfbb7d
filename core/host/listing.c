#include "host/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/json.h"
#include "host/http_range.h"
#include "space/name.h"

struct entry {
	char *name;
	bool folder;
	int64_t size, written_s;
};

struct list_of {
	struct entry *entry;
	size_t count;
	bool cut;
};

static int add_entry(struct list_of *list, const char *name, const struct stat *st)
{
	struct entry *e;

	if (!list->entry)
		list->entry = calloc(LISTING_MAX, sizeof(*list->entry));
	if (!list->entry)
		return -ENOMEM;
	e = &list->entry[list->count];
	e->name = strdup(name);
	if (!e->name)
		return -ENOMEM;
	e->folder = S_ISDIR(st->st_mode);
	e->size = st->st_size;
	e->written_s = st->st_mtim.tv_sec < 0 ? 0 : st->st_mtim.tv_sec;
	list->count++;
	return 0;
}

static int read_folder(DIR *dir, struct list_of *list)
{
	const struct dirent *d;

	while ((d = readdir(dir)) != NULL) {
		struct stat st;
		int err;

		if (!object_path_valid(d->d_name) ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			continue;
		if (list->count == LISTING_MAX) {
			list->cut = true;
			return 0;
		}
		err = add_entry(list, d->d_name, &st);
		if (err)
			return err;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void put_html(FILE *f, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		case '\'': fputs("&#39;", f); break;
		default: fputc(*s, f); break;
		}
	}
}

/* Everything but what RFC 3986 calls unreserved. */
static void put_url(FILE *f, const char *s)
{
	for (; *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-._~", c))
			fputc(c, f);
		else
			fprintf(f, "%%%02X", c);
	}
}

/* Whether another entry is to be printed; if not, the list is cut. */
static bool has_room(FILE *f, struct list_of *list)
{
	const bool room = ftell(f) < LISTING_BYTES;

	list->cut |= !room;
	return room;
}

static void print_html(FILE *f, const char *url, struct list_of *list)
{
	fputs("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>", f);
	put_html(f, url);
	fputs("</title>\n<h1>", f);
	put_html(f, url);
	fputs("</h1>\n<table>\n", f);
	for (size_t i = 0; i < list->count && has_room(f, list); i++) {
		const struct entry *e = &list->entry[i];
		char date[HTTP_DATE_MAX];

		http_date_format(e->written_s, date);
		fputs("<tr><td><a href=\"", f);
		put_url(f, e->name);
		fputs(e->folder ? "/\">" : "\">", f);
		put_html(f, e->name);
		if (e->folder)
			fprintf(f, "/</a><td><td>%s\n", date);
		else
			fprintf(f, "</a><td>%lld<td>%s\n", (long long)e->size, date);
	}
	fputs(list->cut ? "</table>\n<p>There are more.\n" : "</table>\n", f);
}

static void print_json(FILE *f, struct list_of *list)
{
	fputs("{\"schema\":1,\"entries\":[", f);
	for (size_t i = 0; i < list->count && has_room(f, list); i++) {
		const struct entry *e = &list->entry[i];
		char name[6 * 256 + 3];

		if (json_quote(e->name, name, sizeof(name)) < 0)
			continue;
		fprintf(f, "%s{\"name\":%s,\"type\":\"%s\",\"size\":%lld,\"written\":%lld}",
			i ? "," : "", name, e->folder ? "folder" : "object",
			e->folder ? 0LL : (long long)e->size, (long long)e->written_s);
	}
	fprintf(f, "],\"more\":%s}\n", list->cut ? "true" : "false");
}

static int print(const char *url, bool json, struct list_of *list, struct text *body)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&buf, &size);

	if (!f)
		return -ENOMEM;
	if (json)
		print_json(f, list);
	else
		print_html(f, url, list);
	if (fclose(f) != 0) {
		free(buf);
		return -ENOMEM;
	}
	*body = (struct text){.buf = buf, .size = size, .room = size};
	return 0;
}

/* The folder, opened beneath the root, or the root itself. */
static int open_folder(int rootfd, const char *path, DIR **out)
{
	char folder[OBJECT_PATH_MAX + 2];
	cleanup_fd int fd = -1;
	size_t len = strlen(path);

	if (len >= sizeof(folder))
		return -ENOENT;
	strcpy(folder, len ? path : ".");
	if (len > 1 && folder[len - 1] == '/')
		folder[len - 1] = '\0';
	if (len && !object_path_valid(folder))
		return -ENOENT;
	fd = confine_open(rootfd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*out = fdopendir(fd);
	if (!*out)
		return -errno;
	fd = -1; /* the stream's now */
	return 0;
}

int listing_format(int rootfd, const char *path, const char *url, bool json, struct text *body)
{
	cleanup_dir DIR *dir = NULL;
	struct list_of list = {0};
	int err = rootfd < 0 ? rootfd : open_folder(rootfd, path, &dir);

	if (err)
		return err;
	err = read_folder(dir, &list);
	if (!err) {
		if (list.count > 0)
			qsort(list.entry, list.count, sizeof(*list.entry), by_name);
		err = print(url, json, &list, body);
	}
	for (size_t i = 0; i < list.count; i++)
		free(list.entry[i].name);
	free(list.entry);
	return err;
}
