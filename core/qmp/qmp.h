/*
 * A client of QEMU's monitor (QMP), and of its guest agent, which speaks the same dialect.
 *
 * Theory of operation. One command at a time, each with an id; what comes before the answer with
 * that id is an event, which is kept, or something we do not know, which is dropped. One deadline
 * holds for everything, because a stopped QEMU, or one whose only client is somebody else, looks
 * like one that thinks. Nothing the peer says is believed: types are looked at, sizes are bounded,
 * and its words are made printable before a user sees them.
 *
 * QEMU serves one client at a time: open late, close early. A VM's state is never kept between two
 * connections; a command that finds half of its work done does the other half.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "qmp/transport.h"

/* What one call may bring, events and noise included. */
#define QMP_BYTES_MAX (8u << 20)
/* Events kept until somebody asks; older ones are dropped, and those with more text than QEMU's. */
#define QMP_EVENTS_MAX	    256
#define QMP_EVENT_BYTES_MAX 4096

struct qmp;

/*
 * Connects (transport_open() has the addresses) and negotiates; every later call gives up at
 * deadline_ns. The caller closes *q. 0 or -errno: MN_ABSENT when nobody listens, MN_TIMEOUT when
 * nobody answers.
 */
int qmp_open(const char *address, int64_t deadline_ns, struct qmp **q, struct mn_error *e);

/* The same for a guest agent, which does not greet and may have an old answer in the pipe. */
int qmp_open_agent(const char *address, int64_t deadline_ns, struct qmp **q, struct mn_error *e);

/* The same over a transport that is there, which it takes ownership of. */
int qmp_start(struct transport t, int64_t deadline_ns, struct qmp **q, struct mn_error *e);

void qmp_close(struct qmp *q); /* NULL is fine */

void qmp_set_deadline(struct qmp *q, int64_t deadline_ns);
int64_t qmp_deadline(const struct qmp *q);

/* Whether events come: not from a monitor that is asked through a command. */
bool qmp_has_events(const struct qmp *q);

/* QEMU's process, or 0 where that cannot be known (it may also be libvirt's). */
pid_t qmp_peer(const struct qmp *q);

/*
 * Runs one command; takes `arguments` (NULL: none). *reply is what it returned, which the caller
 * deletes; NULL: not wanted. 0; -EREMOTEIO when the peer refused, with qmp_refusal() set;
 * -ETIMEDOUT with MN_TIMEOUT; or another -errno, after which only closing makes sense.
 */
int qmp_call(struct qmp *q, const char *command, cJSON *arguments, cJSON **reply,
	     struct mn_error *e);

/* Why the peer refused the last command: its class ("DeviceNotFound") and its words. */
const char *qmp_refusal_class(const struct qmp *q);
const char *qmp_refusal(const struct qmp *q);

/*
 * The next event, kept or new, which the caller deletes. 0; -ETIMEDOUT at the deadline given (with
 * no error set, it is no failure) and at once where there are no events; or -errno.
 */
int qmp_event(struct qmp *q, int64_t deadline_ns, cJSON **event, struct mn_error *e);

/* For `arguments`: {"name":"value",…}, name and value in turn, NULL at the end. */
cJSON *qmp_strings(const char *name, ...) __attribute__((sentinel));
