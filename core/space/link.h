/*
 * The link between a stream and the controller: what `memnet stream` and `memnet tune` tell each
 * other.
 *
 * Theory of operation. Each stream of spaces, whether it serves or pushes, listens on a socket in
 * the run-time folder, RUNTIME/.stream/PID.sock, which only its own user (and root) can open; the
 * controller finds it there. One request is one line, and has one answer, in the order they were
 * asked:
 *
 *	get
 *		stream pid=712 listen=127.0.0.1:8080 rate=0 client=0 lease=0
 *		space name=web1/out sent=81920 released=0 clients=3 edge=1 rtsp=1 backlog=65536 …
 *		end
 *	rate total=BYTES client=BYTES lease=MS
 *	rate VM/SPACE total=BYTES lease=MS
 *		end, or: error WORDS
 *
 * Rates are bytes a second, 0 for none, and only ever lower what the stream's own options allow.
 * They hold until the lease ends, LINK_LEASE_MAX_MS at most, or the next such line: a controller
 * that has died paces nobody. Counters run since the stream's start. A reader passes over the words
 * that it does not know.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "space/name.h"

#define LINK_FOLDER	  ".stream"
#define LINK_LINE_MAX	  256 /* of any line, its end included */
#define LINK_LEASE_MAX_MS 60000
#define LINK_NAME_MAX	  32
#define LINK_RATE_MAX	  UINT64_C(100000000000) /* 800 Gbit/s */

/* ---- the socket ---- */

/* The folder that the sockets are in, to be closed; `make`: made if need be. Or -errno. */
int link_folder(const char *runtime_dir, bool make);

/*
 * A listening socket in the folder, whose name is put into `name`: that of this process, or where a
 * process of another PID namespace has that, with a number behind. What dead streams left is
 * removed. Or -errno.
 */
int link_listen(int folderfd, char name[LINK_NAME_MAX]);

/* A connected socket, non-blocking; -ECONNREFUSED when nobody listens there any more; -errno. */
int link_connect(int folderfd, const char *name);

/* Whether a name in the folder is a stream's socket. */
bool link_name_valid(const char *name);

/* ---- requests ---- */

enum link_verb { LINK_GET, LINK_RATE };

struct link_request {
	enum link_verb verb;
	bool one; /* space: that one alone */
	struct space_name space;
	uint64_t total_bps, client_bps; /* 0: no limit */
	uint64_t lease_ms;
};

/* Takes a line, without its end; it is cut in place. 0, or -EINVAL with the reason in *why. */
int link_parse_request(char *line, struct link_request *request, const char **why);

/* Writes one, its '\n' included. The length; LINK_LINE_MAX is room enough. */
int link_format_request(const struct link_request *request, char *buf, size_t size);

/* ---- answers ---- */

struct link_stream {
	int64_t pid;
	char listen[80];	       /* "ADDRESS:PORT"; "": not known, or none */
	uint16_t port;		       /* of it */
	uint64_t rate_bps, client_bps; /* in force; 0: none */
	uint64_t lease_ms;	       /* for which what was set still holds */
};

struct link_space {
	struct space_name name;
	uint64_t sent_bytes, released_bytes, stalls;
	uint64_t clients, edge; /* being sent an object of it; of these, waiting for a live one */
	uint64_t rtsp;		/* of the others, those that only take what a stream's clock says */
	uint64_t backlog_bytes; /* that these are still to be sent, of what is there */
	uint64_t rate_bps;	/* in force; 0: none */
};

enum link_line { LINK_STREAM, LINK_SPACE, LINK_END, LINK_ERROR, LINK_OTHER };

/*
 * Takes a line of an answer, without its end; it is cut in place. Which it is, with *stream or
 * *space filled in; LINK_OTHER for what is not understood.
 */
enum link_line link_parse_answer(char *line, struct link_stream *stream, struct link_space *space);

/* Write one line of an answer, '\n' included. The length; LINK_LINE_MAX is room enough. */
int link_format_stream(const struct link_stream *stream, char *buf, size_t size);
int link_format_space(const struct link_space *space, char *buf, size_t size);
