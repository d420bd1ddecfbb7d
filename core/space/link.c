#include "space/link.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG	  8
#define NAMES_MAX 16 /* PID namespaces that share a run-time folder, and a number in it */

/* ---- the socket ---- */

int link_folder(const char *runtime_dir, bool make)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s", runtime_dir, LINK_FOLDER), fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	if (make && mkdir(runtime_dir, 0711) < 0 && errno != EEXIST)
		return -errno;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* By the descriptor: the run-time folder's own path may be longer than an address can hold. */
static struct sockaddr_un address_of(int folderfd, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%.31s", folderfd, name);
	return a;
}

bool link_name_valid(const char *name)
{
	size_t digits = strspn(name, "0123456789-");

	return isdigit((unsigned char)*name) && strcmp(name + digits, ".sock") == 0 &&
	       strlen(name) < LINK_NAME_MAX;
}

int link_connect(int folderfd, const char *name)
{
	const struct sockaddr_un a = address_of(folderfd, name);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const void *)&a, sizeof(a)) < 0)
		return -errno;
	return STEAL_FD(fd);
}

/* What streams left that were killed: nobody listens there. */
static void remove_stale(int folderfd)
{
	int copy = openat(folderfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = link_name_valid(entry->d_name) ? link_connect(folderfd, entry->d_name)
							: -EINVAL;

		if (fd == -ECONNREFUSED)
			unlinkat(folderfd, entry->d_name, 0);
		if (fd >= 0)
			close(fd);
	}
}

int link_listen(int folderfd, char name[LINK_NAME_MAX])
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = -EADDRINUSE;

	if (fd < 0)
		return -errno;
	remove_stale(folderfd);
	fchmod(fd, 0600); /* what bind(2) makes has no other rights, not for a moment */
	snprintf(name, LINK_NAME_MAX, "%d.sock", (int)getpid());
	for (int i = 1; i < NAMES_MAX && err == -EADDRINUSE; i++) {
		const struct sockaddr_un a = address_of(folderfd, name);

		err = bind(fd, (const void *)&a, sizeof(a)) < 0 ? -errno : 0;
		if (err == -EADDRINUSE)
			snprintf(name, LINK_NAME_MAX, "%d-%d.sock", (int)getpid(), i);
	}
	if (!err && listen(fd, BACKLOG) < 0)
		err = -errno;
	return err ? err : STEAL_FD(fd);
}

/* ---- words ---- */

/* The next word of a line, or NULL; "key=value" is cut at its '='. */
static char *next_word(char **line, char **value)
{
	char *word;

	do
		word = strsep(line, " \t\r");
	while (word && !*word);
	*value = word ? strchr(word, '=') : NULL;
	if (*value)
		*(*value)++ = '\0';
	return word;
}

/* A decimal number, up to `max`. */
static bool parse_number(const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end && *number <= max;
}

/* ---- requests ---- */

static int take_limit(const char *key, const char *value, struct link_request *r, const char **why)
{
	uint64_t *to, max = LINK_RATE_MAX;

	if (strcmp(key, "total") == 0) {
		to = &r->total_bps;
	} else if (strcmp(key, "client") == 0 && !r->one) {
		to = &r->client_bps;
	} else if (strcmp(key, "lease") == 0) {
		to = &r->lease_ms;
		max = LINK_LEASE_MAX_MS;
	} else {
		*why = "unknown word: want total=BYTES client=BYTES lease=MS";
		return -EINVAL;
	}
	*why = "number out of range";
	return parse_number(value, max, to) ? 0 : -EINVAL;
}

static int parse_rate(char *line, struct link_request *r, const char **why)
{
	char *word, *value;

	while ((word = next_word(&line, &value))) {
		int err = 0;

		if (value) {
			err = take_limit(word, value, r, why);
		} else {
			*why = "bad space name: want VM/SPACE";
			err = r->one ? -EINVAL : name_parse(word, &r->space, NULL);
			r->one = true;
		}
		if (err)
			return err;
	}
	*why = "a lease is wanted: lease=MS";
	if ((r->total_bps || r->client_bps) && !r->lease_ms)
		return -EINVAL;
	*why = "no client=BYTES for one space";
	return r->one && r->client_bps ? -EINVAL : 0;
}

int link_parse_request(char *line, struct link_request *r, const char **why)
{
	char *value, *verb = next_word(&line, &value);

	*r = (struct link_request){.verb = LINK_GET};
	if (verb && !value && strcmp(verb, "rate") == 0) {
		r->verb = LINK_RATE;
		return parse_rate(line, r, why);
	}
	*why = "unknown request: want get, or rate";
	return verb && !value && strcmp(verb, "get") == 0 && !next_word(&line, &value) ? 0
										       : -EINVAL;
}

int link_format_request(const struct link_request *r, char *buf, size_t size)
{
	if (r->verb == LINK_GET)
		return snprintf(buf, size, "get\n");
	if (r->one)
		return snprintf(buf, size, "rate %s/%s total=%" PRIu64 " lease=%" PRIu64 "\n",
				r->space.vm, r->space.space, r->total_bps, r->lease_ms);
	return snprintf(buf, size, "rate total=%" PRIu64 " client=%" PRIu64 " lease=%" PRIu64 "\n",
			r->total_bps, r->client_bps, r->lease_ms);
}

/* ---- answers ---- */

/* One number of a line, by its name. */
struct field {
	const char *name;
	uint64_t *number;
};

static void take_number(const struct field *f, const char *word, const char *value)
{
	uint64_t number;

	for (; f->name; f++) {
		if (strcmp(f->name, word) == 0 && parse_number(value, INT64_MAX, &number))
			*f->number = number;
	}
}

static void parse_stream(char *line, struct link_stream *s)
{
	uint64_t pid = 0, port = 0;
	const struct field fields[] = {{"pid", &pid},
				       {"rate", &s->rate_bps},
				       {"client", &s->client_bps},
				       {"lease", &s->lease_ms},
				       {NULL, NULL}};
	char *word, *value;

	*s = (struct link_stream){0};
	while ((word = next_word(&line, &value))) {
		if (value && strcmp(word, "listen") == 0 && strlen(value) < sizeof(s->listen))
			strcpy(s->listen, value);
		else if (value)
			take_number(fields, word, value);
	}
	s->pid = (int64_t)pid;
	word = strrchr(s->listen, ':');
	if (word && parse_number(word + 1, UINT16_MAX, &port))
		s->port = (uint16_t)port;
}

static enum link_line parse_space(char *line, struct link_space *s)
{
	const struct field fields[] = {{"sent", &s->sent_bytes},
				       {"released", &s->released_bytes},
				       {"clients", &s->clients},
				       {"edge", &s->edge},
				       {"backlog", &s->backlog_bytes},
				       {"stalls", &s->stalls},
				       {"rate", &s->rate_bps},
				       {"rtsp", &s->rtsp},
				       {NULL, NULL}};
	enum link_line what = LINK_OTHER;
	char *word, *value;

	*s = (struct link_space){0};
	while ((word = next_word(&line, &value))) {
		if (value && strcmp(word, "name") == 0 && !name_parse(value, &s->name, NULL))
			what = LINK_SPACE;
		else if (value)
			take_number(fields, word, value);
	}
	return what;
}

enum link_line link_parse_answer(char *line, struct link_stream *stream, struct link_space *space)
{
	char *value, *what = next_word(&line, &value);

	if (!what || value)
		return LINK_OTHER;
	if (strcmp(what, "space") == 0)
		return parse_space(line, space);
	if (strcmp(what, "end") == 0)
		return LINK_END;
	if (strcmp(what, "error") == 0)
		return LINK_ERROR;
	if (strcmp(what, "stream") != 0)
		return LINK_OTHER;
	parse_stream(line, stream);
	return LINK_STREAM;
}

int link_format_stream(const struct link_stream *s, char *buf, size_t size)
{
	return snprintf(buf, size,
			"stream pid=%" PRId64 " listen=%s rate=%" PRIu64 " client=%" PRIu64
			" lease=%" PRIu64 "\n",
			s->pid, s->listen, s->rate_bps, s->client_bps, s->lease_ms);
}

int link_format_space(const struct link_space *s, char *buf, size_t size)
{
	return snprintf(buf, size,
			"space name=%s/%s sent=%" PRIu64 " released=%" PRIu64 " clients=%" PRIu64
			" edge=%" PRIu64 " rtsp=%" PRIu64 " backlog=%" PRIu64 " stalls=%" PRIu64
			" rate=%" PRIu64 "\n",
			s->name.vm, s->name.space, s->sent_bytes, s->released_bytes, s->clients,
			s->edge, s->rtsp, s->backlog_bytes, s->stalls, s->rate_bps);
}
