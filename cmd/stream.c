#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/energy_config.h"
#include "cmd/options.h"
#include "host/push.h"
#include "host/server.h"

enum {
	OPT_LISTEN = 256,
	OPT_RELEASE,
	OPT_RATE,
	OPT_CLIENT_RATE,
	OPT_OBJECT_RATE,
	OPT_WORKERS,
	OPT_CONGESTION,
	OPT_LISTING,
	OPT_CORS,
	OPT_METRICS,
	OPT_ACCESS_LOG,
	OPT_LOG_FORMAT,
	OPT_USER,
	OPT_DRAIN,
	OPT_RTSP,
	OPT_PUSH,
	OPT_ONCE,
	OPT_FORCE,
	OPT_MULTICAST,
	OPT_ABANDON,
	OPT_TTL,
	OPT_INTERFACE,
};

static const struct opt stream_opts[] = {
	{OPT_LISTEN, "listen", "URL", "where to serve HTTP (http://127.0.0.1:8080)", false},
	{OPT_RELEASE, "release", "never|delivered|ttl:DURATION|lru",
	 "when objects are removed (never)", false},
	{OPT_ABANDON, "abandon", "DURATION",
	 "delivered: drop what was given back in part and left so long (5m; 0: never)", false},
	{OPT_RATE, "rate", "RATE", "most that all connections get together", false},
	{OPT_CLIENT_RATE, "client-rate", "RATE", "most that one connection gets", false},
	{OPT_OBJECT_RATE, "object-rate", "RATE", "most that all clients of one object get", false},
	{OPT_WORKERS, "workers", "N", "threads that serve (1)", false},
	{OPT_CONGESTION, "congestion", "NAME", "TCP congestion control (cubic)", false},
	{OPT_LISTING, "listing", NULL, "list folders, as HTML or JSON", false},
	{OPT_CORS, "cors", "ORIGIN", "let that origin's pages read (\"*\": all)", false},
	{OPT_METRICS, "metrics", "ADDRESS:PORT", "where to serve /metrics", false},
	{OPT_ACCESS_LOG, "access-log", "FILE", "log each response; SIGHUP reopens", false},
	{OPT_LOG_FORMAT, "log-format", "combined|json", "how (combined)", false},
	{OPT_USER, "user", "NAME", "become that user once all is open", false},
	{OPT_DRAIN, "drain", "DURATION", "how long SIGTERM waits for clients (30s)", false},
	{OPT_RTSP, "rtsp", "ADDRESS:PORT", "where to serve transport streams by RTSP", false},
	{OPT_MULTICAST, "multicast", "ADDRESS[/PREFIX]", "groups for RTSP clients that ask for one",
	 false},
	{OPT_PUSH, "push", "URL", "send to tcp:, unix:, http:, udp: or rtp: instead of serving",
	 false},
	{OPT_ONCE, "once", NULL, "with --push: what is there now, and end", false},
	{OPT_FORCE, "force", NULL, "with --release: also from a folder that is no space", false},
	{OPT_TTL, "ttl", "N", "routers that datagrams may pass, and one (multicast: 1)", false},
	{OPT_INTERFACE, "interface", "NAME", "where multicast leaves from (as routed)", false},
	OPT_END,
};

struct stream_options {
	struct server_options server;
	struct push_options push;
	bool force;
	bool abandon_given, log_format_given;
	struct multicast_way multicast;
	const char *serving; /* an option given that is for serving only */
	struct listen_address listen, metrics, rtsp;
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

static int parse_ttl(const char *text, struct server_options *o, struct mn_error *e)
{
	o->release = RELEASE_TTL;
	return parse_duration(text, &o->ttl_ns, e);
}

static int parse_release(const char *text, struct server_options *o, struct mn_error *e)
{
	if (strcmp(text, "never") == 0)
		o->release = RELEASE_NEVER;
	else if (strcmp(text, "delivered") == 0)
		o->release = RELEASE_DELIVERED;
	else if (strcmp(text, "lru") == 0)
		o->release = RELEASE_LRU;
	else if (strncmp(text, "ttl:", 4) == 0)
		return parse_ttl(text + 4, o, e);
	else
		return mn_fail(e, MN_USAGE, EINVAL,
			       "bad release mode \"%.32s\": want never, delivered, ttl:DURATION "
			       "or lru",
			       text);
	return 0;
}

static int parse_log_format(const char *text, struct server_options *o, struct mn_error *e)
{
	o->log_json = strcmp(text, "json") == 0;
	if (o->log_json || strcmp(text, "combined") == 0)
		return 0;
	return mn_fail(e, MN_USAGE, EINVAL, "bad log format \"%.32s\": want combined or json",
		       text);
}

/* It goes into a header field as it is. */
static int parse_cors(const char *text, struct server_options *o, struct mn_error *e)
{
	for (const char *p = text; p == text || *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || p - text > 200)
			return mn_fail(e, MN_USAGE, EINVAL,
				       "bad origin \"%.64s\": want * or https://HOST", text);
	}
	o->cors = text;
	return 0;
}

static int parse_push(const char *text, struct push_options *o, struct mn_error *e)
{
	o->url = text;
	return push_target_parse(text, &o->target, e);
}

static const char *option_name(int key)
{
	const struct opt *opt = stream_opts;

	while (opt->key != key)
		opt++;
	return opt->name;
}

static int take_option(int key, const char *value, struct stream_options *o, struct mn_error *e)
{
	int64_t number;
	int err;

	if (key != OPT_RELEASE && key != OPT_RATE && key != OPT_CONGESTION && key != OPT_USER &&
	    key != OPT_DRAIN && key != OPT_PUSH && key != OPT_ONCE && key != OPT_TTL &&
	    key != OPT_INTERFACE && key != OPT_FORCE)
		o->serving = option_name(key);
	switch (key) {
	case OPT_LISTEN: return parse_listen(value, o, e);
	case OPT_RELEASE: return parse_release(value, &o->server, e);
	case OPT_ABANDON:
		o->abandon_given = true;
		return parse_duration(value, &o->server.abandon_ns, e);
	case OPT_CLIENT_RATE: return parse_rate(value, &o->server.client_rate, e);
	case OPT_OBJECT_RATE: return parse_rate(value, &o->server.object_rate, e);
	case OPT_RATE: return parse_rate(value, &o->server.rate, e);
	case OPT_LISTING: o->server.listing = true; return 0;
	case OPT_CORS: return parse_cors(value, &o->server, e);
	case OPT_METRICS:
		err = parse_address(value, &o->metrics, e);
		o->server.metrics = (struct endpoint){o->metrics.addr, o->metrics.port};
		return err;
	case OPT_ACCESS_LOG: o->server.access_log = value; return 0;
	case OPT_LOG_FORMAT:
		o->log_format_given = true;
		return parse_log_format(value, &o->server, e);
	case OPT_WORKERS:
		err = parse_number(value, "number of workers", 1, 64, &number, e);
		o->server.workers = (unsigned)number;
		return err;
	case OPT_CONGESTION: o->server.congestion = value; return 0;
	case OPT_USER: o->server.user = value; return 0;
	case OPT_DRAIN: return parse_duration(value, &o->server.drain_ns, e);
	case OPT_RTSP:
		err = parse_address(value, &o->rtsp, e);
		o->server.rtsp = (struct endpoint){o->rtsp.addr, o->rtsp.port};
		return err;
	case OPT_PUSH: return parse_push(value, &o->push, e);
	case OPT_ONCE: o->push.once = true; return 0;
	case OPT_FORCE: o->force = true; return 0;
	case OPT_MULTICAST: return multicast_range_parse(value, &o->server.groups, e);
	case OPT_TTL:
		err = parse_number(value, "TTL", 1, 255, &number, e);
		o->multicast.ttl = (int)number;
		return err;
	case OPT_INTERFACE: o->multicast.interface = value; return 0;
	default: return OPTS_BAD;
	}
}

static bool sends_datagrams(const struct stream_options *o)
{
	return o->push.url && push_scheme_datagrams(o->push.target.scheme);
}

/* Refuses what would have no effect. */
static int check_options(const struct stream_options *o, struct mn_error *e)
{
	if (o->abandon_given && o->server.release != RELEASE_DELIVERED)
		return mn_fail(e, MN_USAGE, EINVAL, "--abandon is for --release delivered");
	if (o->log_format_given && !o->server.access_log && !o->push.url)
		return mn_fail(e, MN_USAGE, EINVAL, "--log-format is for --access-log");
	if (!o->push.url && o->push.once)
		return mn_fail(e, MN_USAGE, EINVAL, "--once is for --push");
	if (o->force && o->server.release == RELEASE_NEVER)
		return mn_fail(e, MN_USAGE, EINVAL, "--force is for --release");
	if (o->server.groups.count > 0 && !o->server.rtsp.addr)
		return mn_fail(e, MN_USAGE, EINVAL, "--multicast is for --rtsp");
	if (!sends_datagrams(o) && o->server.groups.count == 0 &&
	    (o->multicast.ttl || o->multicast.interface))
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--ttl and --interface are for --push udp:// or rtp://, and for "
			       "--multicast");
	if (!o->push.url)
		return 0;
	if (o->serving)
		return mn_fail(e, MN_USAGE, EINVAL, "--%s is for serving, not for --push",
			       o->serving);
	if (o->server.release != RELEASE_NEVER && o->server.release != RELEASE_DELIVERED)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--push releases \"delivered\" or \"never\": by age or need, what "
			       "is not delivered would be lost");
	if (sends_datagrams(o) && o->server.rate)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--rate is not for udp:// and rtp://: these go by their stream's "
			       "clock");
	if ((o->push.target.scheme == PUSH_UNIX || sends_datagrams(o)) && o->server.congestion)
		return mn_fail(e, MN_USAGE, EINVAL,
			       "--congestion is TCP's: for tcp:// and http://");
	return 0;
}

/* A folder's files are somebody's: only what guests put into spaces is released unasked. */
static int check_release(const struct stream_options *o, const struct invocation *inv,
			 struct mn_error *e)
{
	int err = 0;

	if (o->server.release == RELEASE_NEVER || o->force)
		return 0;
	for (int i = 0; i < inv->operand_count && !err; i++)
		err = site_check_release(inv->operands[i], o->server.runtime_dir, e);
	return err;
}

static int push(struct stream_options *o, const char *source, struct mn_error *e)
{
	int err = push_target_resolve(&o->push.target, e);

	o->push.source = source;
	o->push.release = o->server.release == RELEASE_DELIVERED;
	o->push.rate = o->server.rate;
	o->push.congestion = o->server.congestion;
	o->push.user = o->server.user;
	o->push.runtime_dir = o->server.runtime_dir;
	o->push.drain_ns = o->server.drain_ns;
	o->push.multicast = o->multicast;
	return err ? err : push_run(&o->push, e);
}

static void say_started(const char *url)
{
	log_info("listening on %s", url);
}

static int serve(struct stream_options *o, const struct invocation *inv, struct mn_error *e)
{
	struct sites sites = {0};
	struct meter_options energy;
	int err = config_energy(&inv->common, &energy, e);

	o->server.energy = &energy;

	o->server.multicast = o->multicast;
	o->server.listen = (struct endpoint){o->listen.addr, o->listen.port};
	for (int i = 0; i < inv->operand_count && !err; i++)
		err = sites_add(&sites, inv->operands[i], o->server.runtime_dir, e);
	if (!err)
		err = server_run(&o->server, &sites, say_started, e);
	sites_fini(&sites);
	return err;
}

static int run(struct invocation *inv)
{
	struct stream_options o = {
		.listen = {.addr = "127.0.0.1", .port = 8080},
		.server = {.workers = 1, .drain_ns = 30 * NS_PER_S, .abandon_ns = 300 * NS_PER_S},
	};
	int key, err;

	while ((key = opts_next(inv)) != OPTS_END) {
		if (key == OPTS_BAD || take_option(key, inv->value, &o, &inv->error))
			return command_fail(inv);
	}
	if (opts_operands(inv, 1, o.push.url ? 1 : -1) || check_options(&o, &inv->error))
		return command_fail(inv);
	log_setup(inv->name, inv->common.quiet	   ? LOG_QUIET
			     : inv->common.verbose ? LOG_VERBOSE
						   : LOG_NORMAL);
	o.server.runtime_dir = inv->common.runtime_dir;
	if (check_release(&o, inv, &inv->error))
		return command_fail(inv);
	err = o.push.url ? push(&o, inv->operands[0], &inv->error) : serve(&o, inv, &inv->error);
	return err ? command_fail(inv) : MN_OK;
}

const struct command command_stream = {
	.name = "stream",
	.summary = "Serve the objects of spaces over HTTP and RTSP, or push them",
	.operands = "VM/SPACE[/GLOB]|DIR…",
	.opts = stream_opts,
	.run = run,
};
