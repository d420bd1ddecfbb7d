/*
 * The head of an RTSP/1.0 request (RFC 2326), from a peer that may be anyone. As strict as
 * host/http_request.h; a body is only ever skipped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/http_request.h"

#define RTSP_HEAD_MAX 4096
#define RTSP_BODY_MAX 4096
#define RTSP_TIME_MAX 1000000000000LL /* ms */

enum rtsp_method {
	RTSP_OPTIONS,
	RTSP_DESCRIBE,
	RTSP_SETUP,
	RTSP_PLAY,
	RTSP_PAUSE,
	RTSP_GET_PARAMETER,
	RTSP_TEARDOWN,
	RTSP_OTHER,
};

struct rtsp_transport {
	bool tcp, multicast;
	uint16_t port;	 /* UDP: the client's for RTP; the next one is for RTCP */
	uint8_t channel; /* TCP: likewise */
};

struct rtsp_request {
	enum rtsp_method method;
	uint32_t cseq;
	struct http_text url;	  /* visible ASCII, without the track and '/'s behind */
	char path[HTTP_PATH_MAX]; /* decoded, without the track; "" for "*" */
	struct http_text require; /* what cannot be had: with 551 */
	bool session_given;
	uint32_t session;
	bool transport_given; /* one that can be had */
	struct rtsp_transport transport;
	bool range_given, now;	/* now: from the live edge */
	int64_t from_ms, to_ms; /* -1: from where it is; to the end */
	size_t body;		/* bytes behind the head */
};

/* The last component of the URL that is set up. */
#define RTSP_TRACK "track1"

/*
 * Takes a whole head apart, as http_head_size() finds it; `multicast`: that can be had. 0, or the
 * status to refuse it with: 400, 414, 457, 461, 505, 551; what was learnt by then, the number among
 * that, is in *r. After a 400 the connection is to be closed.
 */
int rtsp_request_parse(const char *head, size_t size, bool multicast, struct rtsp_request *r);
