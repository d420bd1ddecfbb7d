#include "host/rtsp_request.h"

#include <string.h>
#include <strings.h>

static bool is(struct http_text t, const char *word)
{
	return t.size == strlen(word) && strncasecmp(t.at, word, t.size) == 0;
}

static struct http_text trim(struct http_text t)
{
	while (t.size > 0 && (*t.at == ' ' || *t.at == '\t')) {
		t.at++;
		t.size--;
	}
	while (t.size > 0 && (t.at[t.size - 1] == ' ' || t.at[t.size - 1] == '\t'))
		t.size--;
	return t;
}

/* What is before the next `stop`, which is passed; or all that is left. */
static struct http_text take(struct http_text *from, char stop)
{
	const char *end = from->size > 0 ? memchr(from->at, stop, from->size) : NULL;
	struct http_text part = {from->at, end ? (size_t)(end - from->at) : from->size};
	const size_t used = part.size + (end != NULL);

	from->at += used;
	from->size -= used;
	return trim(part);
}

/* A decimal number up to `max`, and nothing else; -1. */
static int64_t number(struct http_text t, int64_t max)
{
	int64_t n = 0;

	if (t.size == 0 || t.size > 15)
		return -1;
	for (size_t i = 0; i < t.size; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return -1;
		n = n * 10 + (t.at[i] - '0');
	}
	return n <= max ? n : -1;
}

static enum rtsp_method method_of(struct http_text word)
{
	static const char *const names[] = {"OPTIONS", "DESCRIBE",	"SETUP",   "PLAY",
					    "PAUSE",   "GET_PARAMETER", "TEARDOWN"};

	for (int i = RTSP_OPTIONS; i < RTSP_OTHER; i++) {
		if (word.size == strlen(names[i]) && memcmp(word.at, names[i], word.size) == 0)
			return (enum rtsp_method)i;
	}
	return RTSP_OTHER;
}

static int digit(char c)
{
	const char *all = "0123456789abcdef", *at = c ? strchr(all, c | 0x20) : NULL;

	return c >= '0' && c <= '9' ? c - '0' : at && *at >= 'a' ? (int)(at - all) : -1;
}

static int decode_path(struct http_text t, struct rtsp_request *r)
{
	size_t n = 0;

	for (size_t i = 0; i < t.size; i++) {
		int c = (unsigned char)t.at[i];

		if (c == '%') {
			if (i + 2 >= t.size || digit(t.at[i + 1]) < 0 || digit(t.at[i + 2]) < 0)
				return 400;
			c = digit(t.at[i + 1]) << 4 | digit(t.at[i + 2]);
			i += 2;
		}
		if (c == 0)
			return 400;
		if (n + 1 >= sizeof(r->path))
			return 414;
		r->path[n++] = (char)c;
	}
	while (n > 1 && r->path[n - 1] == '/')
		n--;
	r->path[n] = '\0';
	if (n > strlen("/" RTSP_TRACK) &&
	    strcmp(r->path + n - strlen("/" RTSP_TRACK), "/" RTSP_TRACK) == 0)
		r->path[n - strlen("/" RTSP_TRACK)] = '\0';
	return 0;
}

static void strip_slashes(struct http_text *t, size_t least)
{
	while (t->size > least && t->at[t->size - 1] == '/')
		t->size--;
}

/* What a track's name is put behind. `least`: bytes before the path. */
static struct http_text base_of(struct http_text url, size_t least)
{
	const size_t track = strlen("/" RTSP_TRACK);

	strip_slashes(&url, least);
	if (url.size > least + track &&
	    memcmp(url.at + url.size - track, "/" RTSP_TRACK, track) == 0)
		url.size -= track;
	strip_slashes(&url, least);
	return url;
}

/* "rtsp://HOST:PORT/PATH", or "*" */
static int parse_url(struct http_text t, struct rtsp_request *r)
{
	static const char scheme[] = "rtsp://";
	const char *path;

	r->url = t;
	for (size_t i = 0; i < t.size; i++) {
		if (t.at[i] <= ' ' || t.at[i] >= 0x7f)
			return 400;
	}
	if (is(t, "*"))
		return 0;
	if (t.size < sizeof(scheme) || strncasecmp(t.at, scheme, sizeof(scheme) - 1) != 0)
		return 400;
	t.at += sizeof(scheme) - 1;
	t.size -= sizeof(scheme) - 1;
	path = memchr(t.at, '/', t.size);
	if (!path)
		return 0;
	r->url = base_of(r->url, (size_t)(path - r->url.at));
	return decode_path((struct http_text){path, t.size - (size_t)(path - t.at)}, r);
}

static int parse_line(struct http_text line, struct rtsp_request *r)
{
	struct http_text word = take(&line, ' ');
	int err;

	if (word.size == 0)
		return 400;
	r->method = method_of(word);
	word = take(&line, ' ');
	err = parse_url(word, r);
	if (err || word.size == 0)
		return err ? err : 400;
	if (line.size != 8 || memcmp(line.at, "RTSP/", 5) != 0)
		return 400;
	return memcmp(line.at, "RTSP/1.0", 8) == 0 ? 0 : 505;
}

/* "5000-5001" or "5000": the first, whose successor must be the second. */
static int64_t pair(struct http_text t, int64_t max)
{
	const int64_t first = number(take(&t, '-'), max - 1);

	return first >= 0 && (t.size == 0 || number(trim(t), max) == first + 1) ? first : -1;
}

/* One of the transports offered; true if it can be had. Where multicast goes to is not the client's
 * choice. */
static bool parse_transport(struct http_text spec, bool multicast, struct rtsp_transport *t)
{
	const struct http_text protocol = take(&spec, ';');
	int64_t port = 0, channel = 0;

	*t = (struct rtsp_transport){.tcp = is(protocol, "RTP/AVP/TCP")};
	if (!t->tcp && !is(protocol, "RTP/AVP") && !is(protocol, "RTP/AVP/UDP"))
		return false;
	while (spec.size > 0) {
		struct http_text value = take(&spec, ';');
		const struct http_text name = take(&value, '=');

		if (is(name, "multicast"))
			t->multicast = true;
		else if (is(name, "client_port"))
			port = pair(value, 65535);
		else if (is(name, "interleaved"))
			channel = pair(value, 255);
		else if (is(name, "mode") && !is(value, "play") && !is(value, "\"play\""))
			return false;
	}
	t->port = (uint16_t)port;
	t->channel = (uint8_t)channel;
	if (t->multicast)
		return multicast && !t->tcp;
	return t->tcp ? channel >= 0 : port > 0;
}

static int parse_transports(struct http_text list, bool multicast, struct rtsp_request *r)
{
	if (r->transport_given)
		return 400;
	while (list.size > 0 && !r->transport_given)
		r->transport_given = parse_transport(take(&list, ','), multicast, &r->transport);
	return r->transport_given ? 0 : 461;
}

/* "12", "12.345", "1:02:03.5": milliseconds, or -1. */
static int64_t parse_npt(struct http_text t)
{
	struct http_text whole = take(&t, '.');
	int64_t s = 0, ms = 0, unit = 100;

	for (int i = 0; i < 3 && (i == 0 || whole.size > 0); i++) {
		const int64_t n = number(take(&whole, ':'), RTSP_TIME_MAX / 1000);

		if (n < 0)
			return -1;
		s = s * 60 + n;
	}
	for (size_t i = 0; i < t.size; i++, unit /= 10) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return -1;
		ms += unit * (t.at[i] - '0');
	}
	return whole.size > 0 || s > RTSP_TIME_MAX / 1000 ? -1 : s * 1000 + ms;
}

static int parse_range(struct http_text t, struct rtsp_request *r)
{
	struct http_text value = take(&t, ';'), from;

	if (r->range_given)
		return 400;
	r->range_given = true;
	if (!is(take(&value, '='), "npt"))
		return 457;
	from = take(&value, '-');
	value = trim(value);
	r->now = is(from, "now");
	if (!r->now && from.size > 0)
		r->from_ms = parse_npt(from);
	if (value.size > 0)
		r->to_ms = parse_npt(value);
	if ((from.size > 0 && !r->now && r->from_ms < 0) || (value.size > 0 && r->to_ms < 0) ||
	    (r->to_ms >= 0 && r->to_ms < r->from_ms))
		return 457;
	return 0;
}

static int parse_session(struct http_text t, struct rtsp_request *r)
{
	const int64_t id = number(take(&t, ';'), UINT32_MAX);

	r->session_given = true;
	r->session = id < 0 ? 0 : (uint32_t)id;
	return 0;
}

static int parse_field(struct http_text line, bool multicast, struct rtsp_request *r)
{
	const char *colon = memchr(line.at, ':', line.size);
	struct http_text name = {line.at, colon ? (size_t)(colon - line.at) : 0}, value;
	int64_t n;

	if (name.size == 0 || trim(name).size != name.size)
		return 400;
	value = trim((struct http_text){colon + 1, line.size - name.size - 1});
	if (is(name, "CSeq")) {
		n = number(value, UINT32_MAX);
		r->cseq = n < 0 ? 0 : (uint32_t)n;
		return n < 0 ? 400 : 0;
	}
	if (is(name, "Content-Length")) {
		n = number(value, RTSP_BODY_MAX);
		if (n < 0 || r->body > 0)
			return 400;
		r->body = (size_t)n;
		return 0;
	}
	if (is(name, "Require")) {
		r->require = value;
		return 551;
	}
	return is(name, "Transport") ? parse_transports(value, multicast, r)
	       : is(name, "Range")   ? parse_range(value, r)
	       : is(name, "Session") ? parse_session(value, r)
				     : 0;
}

int rtsp_request_parse(const char *head, size_t size, bool multicast, struct rtsp_request *r)
{
	struct http_text rest = {head, size};
	int status = 0;

	*r = (struct rtsp_request){.method = RTSP_OTHER, .from_ms = -1, .to_ms = -1};
	for (bool first = true; rest.size > 0; first = false) {
		const char *end = memchr(rest.at, '\n', rest.size);
		struct http_text line = {rest.at, end ? (size_t)(end - rest.at) : rest.size};
		int err = 0;

		rest.at += line.size + (end != NULL);
		rest.size -= line.size + (end != NULL);
		if (line.size > 0 && line.at[line.size - 1] == '\r')
			line.size--;
		for (size_t i = 0; i < line.size; i++) {
			if ((unsigned char)line.at[i] < ' ' && line.at[i] != '\t')
				return 400;
		}
		if (first)
			err = parse_line(line, r);
		else if (line.size > 0)
			err = parse_field(line, multicast, r);
		if (err == 400)
			return 400;
		/* The number, and the length of the body, may still come. */
		status = status ? status : err;
	}
	return status;
}
