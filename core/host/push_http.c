#include "host/push_http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "host/http_request.h"

static void put_escaped(struct text *t, const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~/";

	for (; *path; path++) {
		const unsigned char c = (unsigned char)*path;
		const char escaped[3] = {'%', "0123456789ABCDEF"[c >> 4],
					 "0123456789ABCDEF"[c & 15]};

		if (strchr(plain, c))
			text_data(t, path, 1);
		else
			text_data(t, escaped, 3);
	}
}

void push_put_format(const struct push_put *put, struct text *t)
{
	text_put(t, "PUT ");
	text_put(t, put->prefix);
	put_escaped(t, put->path);
	text_put(t, " HTTP/1.1\r\nHost: ");
	text_put(t, put->authority);
	text_put(t, "\r\nUser-Agent: memnet/" MEMNET_VERSION "\r\nContent-Type: ");
	text_put(t, put->type);
	if (put->size < 0) {
		text_put(t, "\r\nTransfer-Encoding: chunked\r\n\r\n");
		return;
	}
	text_put(t, "\r\nContent-Length: ");
	text_decimal(t, put->size);
	text_put(t, "\r\n\r\n");
}

/* "HTTP/1.1 201 Created" */
static int parse_status(const char *line, size_t size, struct push_reply *r)
{
	if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
	    (size > 12 && line[12] != ' '))
		return -EINVAL;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EINVAL;
		r->status = r->status * 10 + (line[i] - '0');
	}
	r->close = line[7] == '0';
	return r->status >= 100 ? 0 : -EINVAL;
}

static int parse_length(struct http_text value, struct push_reply *r)
{
	int64_t n = 0;

	if (value.size == 0 || value.size > 15)
		return -EINVAL;
	for (size_t i = 0; i < value.size; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return -EINVAL;
		n = n * 10 + (value.at[i] - '0');
	}
	if (r->length >= 0 && r->length != n)
		return -EINVAL;
	r->length = n;
	return 0;
}

static int parse_field(const char *line, size_t size, struct push_reply *r)
{
	const char *colon = memchr(line, ':', size);
	const size_t name = colon ? (size_t)(colon - line) : 0;
	struct http_text value = {line + name + 1, size - name - 1};

	if (name == 0)
		return -EINVAL;
	while (value.size > 0 && (*value.at == ' ' || *value.at == '\t')) {
		value.at++;
		value.size--;
	}
	while (value.size > 0 && strchr(" \t", value.at[value.size - 1]))
		value.size--;
	if (name == 14 && strncasecmp(line, "Content-Length", name) == 0)
		return parse_length(value, r);
	if (name == 10 && strncasecmp(line, "Connection", name) == 0)
		r->close |= http_list_has(value, "close");
	/* What its end is said by then, is not looked for: the connection is not used again. */
	if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0)
		r->close = true;
	return 0;
}

int push_reply_parse(const char *head, size_t size, struct push_reply *r)
{
	const char *end = head + size;
	int err = 0;

	*r = (struct push_reply){.length = -1};
	for (const char *line = head; line < end && !err;) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((lf ? lf : end) - line);

		if (n > 0 && line[n - 1] == '\r')
			n--;
		if (memchr(line, '\0', n))
			return -EINVAL;
		if (line == head)
			err = parse_status(line, n, r);
		else if (n > 0)
			err = parse_field(line, n, r);
		line = lf ? lf + 1 : end;
	}
	return r->status == 0 ? -EINVAL : err;
}
