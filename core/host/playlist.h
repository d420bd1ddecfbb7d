/*
 * HLS media playlists as a server sees them that lets clients wait for the next segment: "blocking
 * playlist reload" of RFC 8216bis (draft-pantos-hls-rfc8216bis), 6.2.5.2. Pure functions; the text
 * is the guest's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/http_request.h"

/* A larger one is served as it is, and nobody waits for it: 17,000 segments or so. */
#define PLAYLIST_MAX (1024 * 1024)

/* How far ahead of the last segment a client may ask. */
#define PLAYLIST_AHEAD_MAX 2

/* What a playlist begins with that is served with our promise in it. */
#define PLAYLIST_FIRST_LINE "#EXTM3U\n"
#define PLAYLIST_PROMISE    PLAYLIST_FIRST_LINE "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"

struct playlist {
	int64_t next;	   /* the media sequence number of the segment that comes next */
	int64_t target_s;  /* EXT-X-TARGETDURATION */
	size_t first_line; /* the size of "#EXTM3U" and its line's end */
	bool controlled;   /* it has a EXT-X-SERVER-CONTROL of its own */
};

/*
 * Reads a playlist. True if it is a media playlist that segments will still be added to: one with
 * a target duration, and neither EXT-X-ENDLIST nor EXT-X-PLAYLIST-TYPE:VOD. A last line without an
 * end is not there yet.
 */
bool playlist_parse(const char *text, size_t size, struct playlist *p);

/*
 * Looks for _HLS_msn in a query. 1 and the number in *msn; 0: not there; -1 for 400: not a number,
 * twice there, or missing beside _HLS_part. Which part does not matter: a playlist that a muxer
 * wrote for all players has none.
 */
int playlist_wanted(struct http_text query, int64_t *msn);
