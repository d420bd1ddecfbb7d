/* A client of the RTSP server, as rtsp.c, rtsp_answer.c and rtsp_flow.c share it. */
#pragma once

#include "host/rtsp_flow.h"
#include "host/rtsp_request.h"
#include "host/worker.h"

/* A stream leaves the last part of it for answers, which are not as long. */
#define RTSP_OUT_MAX	65536
#define RTSP_ANSWER_MAX (RTSP_HEAD_MAX + 1024)

struct rtsp_conn {
	struct watch watch;
	struct timer idle; /* set while nothing is played */
	struct rtsp *server;
	struct list all;
	struct sockaddr_storage peer;
	size_t in_size, scanned, skip; /* skip: so much of what comes is of no interest */
	char in[RTSP_HEAD_MAX];
	char *out; /* RTSP_OUT_MAX, once needed */
	size_t out_at, out_size;

	uint32_t session; /* 0: none */
	struct rtsp_transport transport;
	struct rtsp_flow *flow; /* of the session */
	struct list member;	/* among the flow's */
	bool plays;
	bool lost; /* to be closed */
};

/* Behind what is to be sent, `room` of it at most: all or nothing; false: there is none now. */
bool rtsp_conn_put(struct rtsp_conn *c, const void *data, size_t size, size_t room);

/* Where nothing is played, the next request is waited for, but not for ever. */
void rtsp_conn_rest(struct rtsp_conn *c);

/* After each turn: sends what is kept, and closes the connection if that is due. */
void rtsp_conn_settle(struct rtsp_conn *c);

/* Ends the session, if there is one. */
void rtsp_conn_leave(struct rtsp_conn *c);

/* Answers the request (rtsp_answer.c), or refuses it. */
void rtsp_answer(struct rtsp_conn *c, const struct rtsp_request *r);
void rtsp_refuse(struct rtsp_conn *c, const struct rtsp_request *r, int status);
