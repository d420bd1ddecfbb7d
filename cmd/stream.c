#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "host/server.h"

enum { OPT_LISTEN = 256, OPT_RELEASE, OPT_CLIENT_RATE, OPT_WORKERS, OPT_CONGESTION, OPT_DRAIN };

static const struct opt stream_opts[] = {
	{OPT_LISTEN, "listen", "URL", "where to serve HTTP (http://127.0.0.1:8080)", false},
	{OPT_RELEASE, "release", "never|delivered", "when objects are removed (never)", false},
	{OPT_CLIENT_RATE, "client-rate", "RATE", "most that one connection gets", false},
	{OPT_WORKERS, "workers", "N", "threads that serve (1)", false},
	{OPT_CONGESTION, "congestion", "NAME", "TCP congestion control (the kernel's)", false},
	{OPT_DRAIN, "drain", "DURATION", "how long SIGTERM waits for clients (30s)", false},
	OPT_END,
};

struct stream_options {
	struct server_options server;
	struct listen_address listen;
};

static int parse_listen(const char *text, struct stream_options *o, struct mn_error *e)
{
	static const char scheme[] = "http://";
	char address[80];
	size_t len;

	if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
		return mn_fail(e, MN_USAGE, EINVAL, "bad URL \"%.64s\": want http://ADDRESS:PORT",
			       text);
	text += sizeof(scheme) - 1;
	len = strcspn(text, "/");
	if (len >= sizeof(address) || strlen(text) > len + 1)
		return mn_fail(e, MN_USAGE, EINVAL, "bad URL \"%.64s\": want http://ADDRESS:PORT",
			       text);
	memcpy(address, text, len);
	address[len] = '\0';
	return parse_address(address, &o->listen, e);
}

static int parse_release(const char *text, struct server_options *o, struct mn_error *e)
{
	if (strcmp(text, "never") == 0)
		o->release = RELEASE_NEVER;
	else if (strcmp(text, "delivered") == 0)
		o->release = RELEASE_DELIVERED;
	else
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad release mode \"%.32s\": want never or delivered", text);
	return 0;
}

static int take_option(int key, const char *value, struct stream_options *o, struct mn_error *e)
{
	int64_t number;
	int err;

	switch (key) {
	case OPT_LISTEN: return parse_listen(value, o, e);
	case OPT_RELEASE: return parse_release(value, &o->server, e);
	case OPT_CLIENT_RATE: return parse_rate(value, &o->server.client_rate, e);
	case OPT_WORKERS:
		err = parse_number(value, "number of workers", 1, 64, &number, e);
		o->server.workers = (unsigned)number;
		return err;
	case OPT_CONGESTION: o->server.congestion = value; return 0;
	case OPT_DRAIN: return parse_duration(value, &o->server.drain_ns, e);
	default: return OPTS_BAD;
	}
}

static void say_started(const char *url)
{
	log_info("listening on %s", url);
}

static int run(struct invocation *inv)
{
	struct stream_options o = {
		.listen = {.addr = "127.0.0.1", .port = 8080},
		.server = {.workers = 1, .drain_ns = 30 * NS_PER_S},
	};
	struct sites sites = {0};
	int key, err = 0;

	while ((key = opts_next(inv)) != OPTS_END) {
		if (key == OPTS_BAD || take_option(key, inv->value, &o, &inv->error))
			return command_fail(inv);
	}
	if (opts_operands(inv, 1, -1))
		return command_fail(inv);
	log_setup(inv->name, inv->common.quiet	   ? LOG_QUIET
			     : inv->common.verbose ? LOG_VERBOSE
						   : LOG_NORMAL);
	o.server.listen = (struct endpoint){o.listen.addr, o.listen.port};
	for (int i = 0; i < inv->operand_count && !err; i++)
		err = sites_add(&sites, inv->operands[i], inv->common.runtime_dir, &inv->error);
	if (!err)
		err = server_run(&o.server, &sites, say_started, &inv->error);
	sites_fini(&sites);
	return err ? command_fail(inv) : MN_OK;
}

const struct command command_stream = {
	.name = "stream",
	.summary = "Serve the objects of spaces over HTTP",
	.operands = "VM/SPACE|DIR…",
	.opts = stream_opts,
	.run = run,
};
