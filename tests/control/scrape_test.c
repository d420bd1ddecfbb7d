/* A stream's figures: when an answer is whole, and what of it is understood. */
#include "control/scrape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/tap.h"

/* What scrape_body() says of the text; *body is what it found. */
static int body_of(const char *text, const char **body)
{
	static char copy[1024];
	char *found = NULL;
	int err;

	strcpy(copy, text);
	err = scrape_body(copy, strlen(copy), &found);
	*body = found;
	return err;
}

static void expect(const char *text, int want, const char *name)
{
	const char *body;

	is_int(body_of(text, &body), want, "%s", name);
}

#define OK "HTTP/1.1 200 OK\r\n"

static void answers(void)
{
	const char *body;

	is_int(body_of(OK "content-length: 3\r\n\r\nabc", &body), 0, "whole");
	is_str(body, "abc", "its body");
	expect("", -EAGAIN, "nothing yet");
	expect(OK "Content-Length: 3\r\n", -EAGAIN, "half a head");
	expect(OK "Content-Length: 4\r\n\r\nabc", -EAGAIN, "half a body");
	expect(OK "Content-Length: 0\r\n\r\n", 0, "an empty one");
	expect(OK "Content-Length: 9223372036854775807\r\n\r\nabc", -EAGAIN, "one without end");
	expect(OK "Content-Length: 99999999999999999999999\r\n\r\nabc", -EAGAIN, "a longer one");
	expect(OK "Content-Length: -1\r\n\r\nabc", -EPROTO, "one of less than nothing");
	expect(OK "Content-Length: -2\r\n\r\nabc", -EPROTO, "and less");
	expect(OK "\r\nContent-Length: 3\r\n\r\nabc", -EPROTO, "a length in the body");
	expect("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", -EPROTO, "not found");
}

static void take(void *cookie, const char *name, const char *space, uint64_t value)
{
	char *to = cookie;

	snprintf(to + strlen(to), 256 - strlen(to), "%s[%s]=%" PRIu64 " ", name, space, value);
}

static void samples(void)
{
	char said[256] = "";
	char text[] =
		"# TYPE a counter\na 5\nb{space=\"web1/out\"} 7.9\nc{other=\"x\"} 1\nd\ne -1\n"
		"f nan\ng{space=\"web2\ng2{space=\"w}\" 3\nh{space=\"w\"} 1e30\ni{space=\"w\"} 2";

	scrape_parse(text, take, said);
	is_str(said, "a[]=5 b[web1/out]=7 i[w]=2 ",
	       "samples; what is not understood is passed over");
}

int main(void)
{
	answers();
	samples();
	return done_testing();
}
