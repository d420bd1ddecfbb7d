#include "host/http_request.h"

#include <string.h>
#include <strings.h>

enum {
	BAD = 400,
	NOT_ALLOWED = 405,
	TOO_LARGE = 413,
	TOO_LONG = 414,
	NOT_IMPLEMENTED = 501,
	BAD_VERSION = 505,
};

/* What only the parser has to know of the fields. */
struct framing {
	int hosts, lengths, codings;
	bool body, keep_alive, unknown_coding;
};

size_t http_head_size(const char *head, size_t size, size_t *scanned)
{
	/* An empty line is LF LF or LF CR LF. Two bytes back: it may have begun in the last look.
	 */
	size_t from = *scanned > 2 ? *scanned - 2 : 0;

	for (;;) {
		const char *lf = memchr(head + from, '\n', size - from);
		size_t at;

		if (!lf)
			break;
		at = (size_t)(lf - head) + 1;
		if (at < size && head[at] == '\n')
			return at + 1;
		if (at + 1 < size && head[at] == '\r' && head[at + 1] == '\n')
			return at + 2;
		from = at;
	}
	*scanned = size;
	return 0;
}

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool text_is(struct http_text t, const char *word)
{
	return t.size == strlen(word) && strncasecmp(t.at, word, t.size) == 0;
}

static struct http_text trimmed(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	return (struct http_text){at, (size_t)(end - at)};
}

/* The list's next element in *item; false at its end. */
static bool list_next(struct http_text *list, struct http_text *item)
{
	const char *end, *comma;

	if (list->size == 0)
		return false;
	end = list->at + list->size;
	comma = memchr(list->at, ',', list->size);
	*item = trimmed(list->at, comma ? comma : end);
	list->at = comma ? comma + 1 : end;
	list->size = (size_t)(end - list->at);
	return true;
}

bool http_list_has(struct http_text list, const char *token)
{
	struct http_text item;

	while (list_next(&list, &item)) {
		if (text_is(item, token))
			return true;
	}
	return false;
}

/* "q=0", "q=0.0…". */
static bool refused(struct http_text parameters)
{
	const char *p = parameters.at, *end = p + parameters.size;

	while (p < end && (*p == ';' || is_blank(*p)))
		p++;
	if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
		return false;
	for (p += 2; p < end; p++) {
		if (*p != '0' && *p != '.')
			return false;
	}
	return true;
}

bool http_accepts(struct http_text list, const char *token)
{
	struct http_text item;

	while (list_next(&list, &item)) {
		const char *end = item.at + item.size;
		const char *semicolon = memchr(item.at, ';', item.size);
		struct http_text name = trimmed(item.at, semicolon ? semicolon : end);

		if (!text_is(name, token))
			continue;
		return !semicolon ||
		       !refused((struct http_text){semicolon, (size_t)(end - semicolon)});
	}
	return false;
}

/* ---- the request line ---- */

static int parse_method(struct http_text word, struct http_request *r)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_OPTIONS] = "OPTIONS"};

	for (size_t i = 0; i < word.size; i++) {
		char c = word.at[i];

		if ((c < 'A' || c > 'Z') && c != '-' && c != '_')
			return BAD;
	}
	r->method = HTTP_OTHER;
	for (int i = 0; i < HTTP_OTHER; i++) {
		if (word.size == strlen(names[i]) && memcmp(word.at, names[i], word.size) == 0)
			r->method = (enum http_method)i;
	}
	return word.size > 0 ? 0 : BAD;
}

static int parse_version(struct http_text word, struct http_request *r)
{
	const char *v = word.at;

	if (word.size != 8 || memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' ||
	    v[6] != '.' || v[7] < '0' || v[7] > '9')
		return BAD;
	if (v[5] != '1')
		return BAD_VERSION;
	r->minor = v[7] != '0';
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX, once, into r->path. */
static int decode(struct http_text text, struct http_request *r)
{
	char *out = r->path, *end = r->path + sizeof(r->path) - 1;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.at[i];

		if (c == '%') {
			int high = i + 2 < text.size ? hex_digit(text.at[i + 1]) : -1;
			int low = i + 2 < text.size ? hex_digit(text.at[i + 2]) : -1;

			if (high < 0 || low < 0 || (high | low) == 0)
				return BAD;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (out == end)
			return TOO_LONG;
		*out++ = c;
	}
	*out = '\0';
	r->path_size = (size_t)(out - r->path);
	return 0;
}

/* "." and ".." are for clients to resolve: a request that still has them is up to something. */
static bool has_dots(const char *path)
{
	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		size_t len = strcspn(p + 1, "/");

		if ((len == 1 && p[1] == '.') || (len == 2 && p[1] == '.' && p[2] == '.'))
			return true;
	}
	return false;
}

static bool is_host(struct http_text host)
{
	for (size_t i = 0; i < host.size; i++) {
		if (is_blank(host.at[i]) || strchr("/\\?#@,\"<>", host.at[i]))
			return false;
	}
	return true;
}

/*
 * "http://host/path" is a request to us all the same (RFC 9112, 3.2.2), and "http://host" one for
 * "/". False: there is no host in it, or what cannot be one.
 */
static bool strip_authority(struct http_text *target)
{
	static const char scheme[] = "http://";
	const size_t len = sizeof(scheme) - 1;
	const char *end = target->at + target->size, *host, *slash;

	if (target->size < len || strncasecmp(target->at, scheme, len) != 0)
		return true;
	host = target->at + len;
	slash = memchr(host, '/', (size_t)(end - host));
	if (slash)
		*target = (struct http_text){slash, (size_t)(end - slash)};
	else
		*target = (struct http_text){"/", 1};
	return host < end && host != slash &&
	       is_host((struct http_text){host, (size_t)((slash ? slash : end) - host)});
}

static int parse_target(struct http_text target, struct http_request *r)
{
	const char *question;
	int status;

	if (r->method == HTTP_OPTIONS && text_is(target, "*"))
		target = (struct http_text){"/", 1};
	if (memchr(target.at, '#', target.size))
		return BAD;
	question = memchr(target.at, '?', target.size);
	if (question) {
		size_t path_size = (size_t)(question - target.at);

		r->query = (struct http_text){question + 1, target.size - path_size - 1};
		target.size = path_size;
	}
	if (!strip_authority(&target) || target.size == 0 || target.at[0] != '/')
		return BAD;
	status = decode(target, r);
	return status || !has_dots(r->path) ? status : BAD;
}

static int parse_line(struct http_text line, struct http_request *r)
{
	const char *end = line.at + line.size;
	const char *first = memchr(line.at, ' ', line.size);
	const char *last = end;
	int status;

	for (size_t i = 0; i < line.size; i++) {
		if ((unsigned char)line.at[i] < ' ' || line.at[i] == 0x7f)
			return BAD;
	}
	while (last > line.at && last[-1] != ' ')
		last--;
	if (!first || last - 1 <= first || memchr(first + 1, ' ', (size_t)(last - 1 - first - 1)))
		return BAD;
	r->line = line;
	status = parse_version((struct http_text){last, (size_t)(end - last)}, r);
	if (!status)
		status = parse_method((struct http_text){line.at, (size_t)(first - line.at)}, r);
	if (!status)
		status = parse_target((struct http_text){first + 1, (size_t)(last - 1 - first - 1)},
				      r);
	return status;
}

/* ---- the fields ---- */

static int take_length(struct http_text value, struct framing *f)
{
	if (value.size == 0 || f->lengths++ > 0)
		return BAD;
	for (size_t i = 0; i < value.size; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return BAD;
		f->body |= value.at[i] != '0';
	}
	return 0;
}

static int take_coding(struct http_text value, struct framing *f)
{
	if (f->codings++ > 0)
		return BAD;
	f->unknown_coding = !text_is(value, "chunked");
	return 0;
}

static int take_host(struct http_text value, struct framing *f)
{
	return f->hosts++ > 0 || !is_host(value) ? BAD : 0;
}

static int take_connection(struct http_text value, struct http_request *r, struct framing *f)
{
	r->close |= http_list_has(value, "close");
	f->keep_alive |= http_list_has(value, "keep-alive");
	return 0;
}

/*
 * Keeps the value, if the field is one of these. What decides which bytes are sent comes once; of
 * what only prefers or tells something the first is taken, as lists may come in several lines
 * (RFC 9110, 5.3).
 */
static int keep_field(struct http_text name, struct http_text value, struct http_request *r)
{
	const struct {
		const char *name;
		struct http_text *place;
		bool once;
	} kept[] = {
		{"range", &r->range, true},
		{"if-range", &r->if_range, true},
		{"if-none-match", &r->if_none_match, true},
		{"if-match", &r->if_match, true},
		{"if-modified-since", &r->if_modified_since, true},
		{"if-unmodified-since", &r->if_unmodified_since, true},
		{"accept", &r->accept, false},
		{"accept-encoding", &r->accept_encoding, false},
		{"user-agent", &r->user_agent, false},
		{"referer", &r->referer, false},
	};

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (!text_is(name, kept[i].name))
			continue;
		if (!kept[i].place->at)
			*kept[i].place = value;
		else if (kept[i].once)
			return BAD;
		break;
	}
	return 0;
}

static int take_field(struct http_text name, struct http_text value, struct http_request *r,
		      struct framing *f)
{
	if (text_is(name, "host"))
		return take_host(value, f);
	if (text_is(name, "connection"))
		return take_connection(value, r, f);
	if (text_is(name, "content-length"))
		return take_length(value, f);
	if (text_is(name, "transfer-encoding"))
		return take_coding(value, f);
	return keep_field(name, value, r);
}

static int parse_field(struct http_text line, struct http_request *r, struct framing *f)
{
	const char *end = line.at + line.size;
	const char *colon = memchr(line.at, ':', line.size);

	if (!colon || colon == line.at)
		return BAD;
	for (const char *p = line.at; p < colon; p++) {
		if (!is_token((unsigned char)*p))
			return BAD; /* white space at either end, and a folded line, too */
	}
	for (const char *p = colon + 1; p < end; p++) {
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return BAD;
	}
	return take_field((struct http_text){line.at, (size_t)(colon - line.at)},
			  trimmed(colon + 1, end), r, f);
}

/* What the fields mean together. */
static int check_framing(struct http_request *r, const struct framing *f)
{
	if (r->minor == 1 && f->hosts == 0)
		return BAD;
	if (f->codings && (f->lengths || r->minor == 0))
		return BAD;
	if (f->unknown_coding)
		return NOT_IMPLEMENTED;
	if (f->codings || f->body)
		return TOO_LARGE;
	r->close |= r->minor == 0 && !f->keep_alive;
	return r->method == HTTP_OTHER ? NOT_ALLOWED : 0;
}

/* The next line without its end; moves *at behind it. */
static struct http_text next_line(const char **at, const char *end)
{
	const char *begin = *at;
	const char *lf = memchr(begin, '\n', (size_t)(end - begin));

	*at = lf ? lf + 1 : end;
	if (!lf)
		lf = end;
	if (lf > begin && lf[-1] == '\r')
		lf--;
	return (struct http_text){begin, (size_t)(lf - begin)};
}

int http_request_parse(const char *head, size_t size, struct http_request *r)
{
	const char *at = head, *end = head + size;
	struct framing f = {0};
	int status;

	memset(r, 0, offsetof(struct http_request, path));
	r->path[0] = '\0';
	r->method = HTTP_OTHER;
	status = parse_line(next_line(&at, end), r);
	while (at < end && !status) {
		struct http_text field = next_line(&at, end);

		if (field.size == 0)
			break;
		status = parse_field(field, r, &f);
	}
	if (!status)
		status = check_framing(r, &f);
	r->close |= status && status != NOT_ALLOWED;
	return status;
}
