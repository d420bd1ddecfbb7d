/* Completion against a table of its own, so that it holds whatever memnet's commands become. */
#include "cmd/command.h"

#include <stdlib.h>

#include "tests/scratch.h"
#include "tests/tap.h"

static const struct opt opts[] = {
	{'a', "all", NULL, "take all", false},
	{'o', "output", "FILE", "write there", false},
	{'t', "to", "DIR", "write in there", false},
	{'s', "size", "SIZE", "how much", false},
	{300, "machine", "q35|pc", "which", false},
	{301, "release", "never|delivered|ttl:DUR|lru", "when", false},
	{302, "long", "short|tall", "perhaps", true},
	{303, "qmp", "PATH|exec:COMMAND", "where", false},
	{304, "vm", "VM", "whose", false},
	{'x', NULL, NULL, "letter only", false},
	OPT_END,
};
static const struct command share_verbs[] = {
	{.name = "create",
	 .summary = "make one",
	 .operands = "VM/SPACE",
	 .opts = opts,
	 .common = "jn"},
	{.name = "check", .summary = "look at it", .operands = "[VM]"},
	{.name = "mount", .summary = "mount it", .operands = "[TAG] [DIR]"},
	{.name = NULL},
};
static const struct command share = {.name = "share", .summary = "share it", .verbs = share_verbs};
static const struct command stream = {
	.name = "stream", .summary = "send it", .operands = "[VM/SPACE[/GLOB]|DIR]…", .opts = opts};
static const struct command hook = {
	.name = "transcode-hook", .summary = "run it", .operands = "-- COMMAND…", .opts = opts};
static const struct command resize = {
	.name = "resize", .summary = "", .operands = "VM/SPACE S|+S|-S"};
static const struct command *const table[] = {&share, &stream, &hook, &resize, NULL};

static int root;

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the lines of `text` into one, apart by blanks; their help is cut off unless wanted. */
static void sorted(char *text, char *out, bool help)
{
	char *lines[64];
	size_t n = 0;

	for (char *line = strtok(text, "\n"); line && n < 64; line = strtok(NULL, "\n"))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), by_line);
	*out = '\0';
	for (size_t i = 0; i < n; i++) {
		if (!help)
			lines[i][strcspn(lines[i], "\t")] = '\0';
		out += sprintf(out, "%s%s", i ? " " : "", lines[i]);
	}
}

/* The candidates for the last word of `line`, split at blanks; '_' stands for an empty word. */
static const char *complete_for(const struct command *command, const char *line, bool help)
{
	static char copy[512], text[8192], out[8192];
	char *words[16];
	size_t n = 0;
	int file = openat(root, "output", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int saved = dup(STDOUT_FILENO), status;
	ssize_t size;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && n < 15; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "_") == 0 ? word + 1 : word;
	words[n] = NULL;
	dup2(file, STDOUT_FILENO);
	status = complete_main(table, command, words);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	size = pread(file, text, sizeof(text) - 1, 0);
	close(file);
	text[size > 0 ? size : 0] = '\0';
	if (status != 0)
		return "(status)";
	sorted(text, out, help);
	return out;
}

#define COMPLETES(line, want) is_str(complete_for(NULL, line, false), want, "%s", line)

static void commands_and_verbs(void)
{
	COMPLETES("", "");
	COMPLETES("_", "resize share stream transcode-hook");
	COMPLETES("s", "share stream");
	COMPLETES("share", "share");
	COMPLETES("x", "");
	COMPLETES("-", "--help --list-commands --version");
	COMPLETES("--v", "--version");
	COMPLETES("share _", "check create mount");
	COMPLETES("share c", "check create");
	COMPLETES("share --", "--help");
	COMPLETES("nothing _", "");
	COMPLETES("share nothing _", "");
	is_str(complete_for(NULL, "share m", true), "mount\tmount it", "with its summary");
	is_str(complete_for(&share, "c", false), "check create", "by a link");
	is_str(complete_for(&share, "", false), "", "by a link, without a word");
	is_str(complete_for(&share, "create --ma", false), "--machine", "by a link, an option");
	is_str(complete_for(&stream, "--ma", false), "--machine", "by a link to one without verbs");
}

static void options(void)
{
	COMPLETES("share create -",
		  "--all --config --dry-run --help --json --long --machine --output "
		  "--qmp --quiet --release --runtime-dir --size --to --verbose --vm -x");
	COMPLETES("share create --r", "--release --runtime-dir");
	COMPLETES("share create --config --o", ":file");
	COMPLETES("share check -", "--config --help --quiet --runtime-dir --verbose");
	COMPLETES("share create -- -", "");
	COMPLETES("share create -o", "");
	is_str(complete_for(NULL, "share create --al", true), "--all\ttake all", "with its help");
}

static void values(void)
{
	COMPLETES("share create --machine _", "pc q35");
	COMPLETES("share create --machine q", "q35");
	COMPLETES("share create --machine q35x", "");
	COMPLETES("share create --machine q35|", "");
	COMPLETES("share create --machine=", "--machine=pc --machine=q35");
	COMPLETES("share create --machine=p", "--machine=pc");
	COMPLETES("share create --release _", "delivered lru never ttl:");
	COMPLETES("share create --qmp _", ":file exec:");
	COMPLETES("share create --output _", ":file");
	COMPLETES("share create --output=/x", ":file");
	COMPLETES("share create -o _", ":file");
	COMPLETES("share create -ao _", ":file");
	COMPLETES("share create -to _", "web1/in web1/out web2/x");
	COMPLETES("share create -t _", ":dir");
	COMPLETES("share create --size _", "");
	COMPLETES("share create --long _", "web1/in web1/out web2/x");
	COMPLETES("share create --long=", "--long=short --long=tall");
	COMPLETES("share create --all=", "");
	COMPLETES("share create --nothing=", "");
	COMPLETES("share create --nothing _", "web1/in web1/out web2/x");
	COMPLETES("share create -=", "");
	COMPLETES("share create --=", "");
}

static void live_names(void)
{
	char line[400];

	COMPLETES("share create _", "web1/in web1/out web2/x");
	COMPLETES("share create web1/", "web1/in web1/out");
	COMPLETES("share create w", "web1/in web1/out web2/x");
	COMPLETES("share create web1/out _", "");
	COMPLETES("share create -a web2", "web2/x");
	COMPLETES("share create --machine pc web2", "web2/x");
	COMPLETES("share create -- web2", "web2/x");
	COMPLETES("share check _", "empty web1 web2");
	COMPLETES("share create --vm w", "web1 web2");
	COMPLETES("resize web1/out _", "");
	COMPLETES("stream _", ":dir web1/in web1/out web2/x");
	COMPLETES("stream web1/in web2/", ":dir web2/x");
	snprintf(line, sizeof(line), "share check --runtime-dir %s/other _", scratch_path);
	is_str(complete_for(NULL, line, false), "elsewhere", "in the folder of the option");
	snprintf(line, sizeof(line), "share check --runtime-dir=%s/other _", scratch_path);
	is_str(complete_for(NULL, line, false), "elsewhere", "with '='");
	snprintf(line, sizeof(line), "share check --runtime-dir=%s/none _", scratch_path);
	is_str(complete_for(NULL, line, false), "", "in none");
	snprintf(line, sizeof(line), "share check --runtime-dir=%s/run/web1/file _", scratch_path);
	is_str(complete_for(NULL, line, false), "", "in what is none");
	COMPLETES("share check --runtime-dir= _", "");
}

static void operands(void)
{
	COMPLETES("share mount _", "");
	COMPLETES("share mount memnet _", ":dir");
	COMPLETES("share mount memnet /mnt _", "");
	COMPLETES("transcode-hook _", "");
	COMPLETES("transcode-hook -- _", ":command");
	COMPLETES("transcode-hook --all -- ff", ":command");
	COMPLETES("transcode-hook -- ffmpeg -", ":file");
	COMPLETES("transcode-hook -- ffmpeg -i _", ":file");
}

/* More names than anyone reads are cut short rather than waited for. */
static void a_flood(void)
{
	char path[64];
	char *words[] = {(char[]){"share"}, (char[]){"check"}, (char[]){"f"}, NULL};
	int file, saved = dup(STDOUT_FILENO);
	struct stat st = {0};

	mkdirat(root, "flood", 0700);
	for (int i = 0; i < 1200; i++) {
		snprintf(path, sizeof(path), "flood/f%04d", i);
		mkdirat(root, path, 0700);
	}
	snprintf(path, sizeof(path), "%.50s/flood", scratch_path);
	setenv("MEMNET_RUNTIME_DIR", path, 1);
	file = openat(root, "output", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	dup2(file, STDOUT_FILENO);
	complete_main(table, NULL, words);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fstat(file, &st);
	ok(st.st_size > 1000 * 9 && st.st_size < 1030 * 9, "some 1024 of 1200 names");
	close(file);
}

static void plant(void)
{
	static const char *const folders[] = {
		"run",
		"run/web1",
		"run/web1/out",
		"run/web1/in",
		"run/web1/.hidden",
		"run/web1/a b",
		"run/web1/$(x)",
		"run/web1/a\nb",
		"run/web2",
		"run/web2/x",
		"run/empty",
		"run/-n",
		"run/a;b",
		"run/..a",
		"other",
		"other/elsewhere",
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		mkdirat(root, folders[i], 0700);
	scratch_file(root, "run/web1/file", "", 0);
	scratch_file(root, "run/lock", "", 0);
	(void)!symlinkat("../other", root, "run/link");
	(void)!symlinkat("out", root, "run/web1/link");
}

int main(void)
{
	char run[300];

	root = scratch_open();
	plant();
	snprintf(run, sizeof(run), "%s/run", scratch_path);
	setenv("MEMNET_RUNTIME_DIR", run, 1);
	commands_and_verbs();
	options();
	values();
	live_names();
	operands();
	a_flood();
	close(root);
	return done_testing();
}
