/* One client's connection: what the files share that read from it, answer, send, and end it. */
#pragma once

#include "base/clock.h"
#include "host/rate.h"
#include "host/text.h"
#include "host/worker.h"

enum conn_state { CONN_HEAD, CONN_RELOAD, CONN_SEND, CONN_ACK, CONN_LINGER };

/* What a step left the connection in; DONE: the response is out. */
enum step { STEP_GO_ON, STEP_WAIT, STEP_DONE, STEP_CLOSE, STEP_RESET };

#define CONN_HEAD_TIMEOUT_NS (30 * NS_PER_S) /* from a request's first byte to its last */
#define CONN_SEND_TIMEOUT_NS (60 * NS_PER_S) /* without a byte taken */

/* No further list is made in a worker whose clients leave more than this of theirs untaken. */
#define LISTINGS_SAVED_MAX (64LL << 20)

struct multipart;

struct conn {
	struct watch watch;
	struct timer timer; /* fires at or before `deadline_ns` */
	int64_t deadline_ns;
	struct worker *worker;
	struct list all, runnable, waiting, acking;
	struct peer peer;

	enum conn_state state;
	bool readable, writable, hung_up; /* hung_up: the client will send no more */
	bool metrics;			  /* came by the metrics' own address */
	bool close;			  /* after this response */
	bool linger;			  /* … having refused what may still come */
	bool chunked;
	bool fin; /* we have sent ours */

	char *in; /* saved input: HTTP_HEAD_MAX bytes, or NULL */
	size_t in_size, scanned;
	char *out; /* saved output, or NULL */
	size_t out_at, out_size;

	struct object *object;	 /* being sent */
	int64_t at, end;	 /* its bytes still to go; live: as far as it has grown */
	int64_t chunk;		 /* of these, announced in the chunk under way */
	bool started;		 /* a chunk has been sent before */
	bool open_ended;	 /* goes on to the end, wherever that will be */
	struct multipart *parts; /* of its ranges (host/multipart.h), or NULL */
	struct unpack *unpack;	 /* its content is sent, decompressed, and knows what is to go */
	int64_t unpack_memory;
	struct reader reader;

	bool grows;	     /* it is a playlist that segments will still be added to */
	const char *promise; /* sent in the place of its first `skipped` bytes, or NULL */
	size_t skipped;
	int64_t held_until_ns; /* for a request that waits for a segment; 0: it does not */

	int status;	/* of the response under way; 0: none */
	int64_t queued; /* of what it was sent, unacknowledged when the present deadline was set */
	size_t head_size;
	uint64_t sent; /* of it, head included */
	int64_t began_ns;
	struct rate rate;     /* of what it has been sent; see host/pacer.h */
	bool bbr;	      /* its congestion control does not shrink the window in pauses */
	uint64_t socket_rate; /* the client rate that its socket is set for */
	int64_t granted;      /* booked with the shared rates, not sent yet */
	int64_t grant_ns;     /* from when on that may be sent */
	unsigned limits_seen; /* when that was booked; see host/limits.h */

	char *log; /* what the access log will say of the request; see host/access_log.h */
};

/* ---- conn.c ---- */

void conn_init(struct worker *w);
void conn_fini(struct worker *w);

/* Takes over the socket; `metrics`: it came by the metrics' own address. */
struct sockaddr_storage;
void conn_accept(struct worker *w, int fd, const struct sockaddr_storage *peer, bool metrics);

/* No new requests: idle ones are closed, the others after their response. */
void conn_drain(struct worker *w);

/* Breaks off all. */
void conn_abort_all(struct worker *w);

/* The object that these wait for has changed. */
void conn_wake_waiting(struct object *o);

/* Goes on with whatever it is at, until it has to wait or is no more. */
void conn_run(struct conn *c);
void conn_close(struct conn *c);

/* It goes on in the next turn, behind the others in this queue of its worker's (runnable,
 * unpacking). */
enum step conn_wait_turn(struct conn *c, struct list *queue);

/* What the access log will say of the worker's request, if there is a log. */
void conn_begin_log(struct conn *c);

/* It is given up `after_ns` from now, unless set anew before that; or never. */
void conn_set_deadline(struct conn *c, int64_t after_ns);
void conn_set_no_deadline(struct conn *c);

/* ---- conn_read.c ---- */

/* HEAD: reads, and answers a request once it is whole. */
enum step conn_read(struct conn *c);

/* LINGER: drops what the client still sends. */
enum step conn_discard(struct conn *c);

/* ---- conn_send.c ---- */

/* SEND: goes on with the response; *share is what is left of this turn's bytes. */
enum step conn_send(struct conn *c, int64_t *share);

/* Sends, and saves the rest. `more`: a body follows at once. 0, or -errno when all is lost. */
int conn_put(struct conn *c, const char *data, size_t size, bool more);

/*
 * Sends two pieces at once, a head and a body. The bytes sent, or -errno when all is lost: -EFAULT
 * where the body's memory is no longer there. What is left of the head is saved.
 */
struct iovec;
ssize_t conn_put_pieces(struct conn *c, const struct iovec pieces[2]);

/* Forgets what was saved. */
void conn_drop_output(struct conn *c);

/* ---- conn_unpack.c ---- */

/* Makes the object's content what is sent. 0; -ENOENT: that cannot be had; -ENOMEM. */
int conn_unpack(struct conn *c);

/*
 * Begins to, with at and end, or with the parts, which unpack_plan() has seen. 0; -EBUSY: too many
 * do just now; -ENOMEM, -EBADMSG.
 */
int conn_unpack_start(struct conn *c);

/* SEND, for that. */
enum step conn_unpack_send(struct conn *c, int64_t share);
void conn_unpack_end(struct conn *c);

/* Lets those who decompress go on for a fraction of a millisecond. */
void conn_unpack_turn(struct worker *w);

/* ---- conn_reload.c ---- */

/*
 * For an object that may be a playlist. DONE: it is to be served now, with the promise if there is
 * one; else it was answered, or the request waits in RELOAD and is to be kept.
 */
enum step conn_reload_check(struct conn *c, const struct http_request *r);

/* RELOAD: GO_ON once the request is to be answered anew. */
enum step conn_reload(struct conn *c);

/* For host/reload.h: their file has changed. */
void conn_reload_wake(struct list *waiting);

/* ---- conn_hold.c ---- */

/* Ends this response's hold on its object, and releases that if it is time. */
void conn_leave_object(struct conn *c);

/* Whether what its client's TCP acknowledges is to be released. */
bool conn_counts_acks(const struct conn *c);

/* Looks after acknowledgements from now on, by the worker's ack_timer. */
void conn_expect_acks(struct conn *c);
void conn_check_acks(struct timer *ack_timer);

/* Begins ACK, for a response that is out. */
enum step conn_await_acks(struct conn *c);

/* ACK: GO_ON once all has been acknowledged. */
enum step conn_check_ack(struct conn *c);

/* The socket takes no more just now: it is no longer writable, and has a deadline. */
void conn_full(struct conn *c);

/* SEND, ACK: whether the client's TCP has taken enough since the deadline was set for another. */
bool conn_progressed(struct conn *c);

/* ---- answer.c: each begins a response, and leaves the connection in SEND or better ---- */

/* Answers a request that was understood: `r` is the worker's. */
enum step answer_request(struct conn *c, const struct http_request *r);

/* Answers without an object, with `fields` (each with its CR LF) and a line of text. */
enum step answer_plain(struct conn *c, int status, const char *fields, const char *why);

/* Answers what could not be understood: nothing that follows can be, either. */
enum step answer_refuse(struct conn *c, int status);

/* The same for a request that did not come to its end. */
enum step answer_unread(struct conn *c, int status);

/* The next part's head of a multipart response, or its end. */
enum step answer_next_part(struct conn *c);
