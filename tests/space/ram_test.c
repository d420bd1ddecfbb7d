/* The host's memory, and what a cgroup leaves of it. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "space/ram.h"
#include "tests/space/namespace.h"

static void test_read(void)
{
	struct ram ram;
	struct sysinfo info;

	sysinfo(&info);
	is_int(ram_read(&ram), 0, "read");
	ok(ram.total_bytes / 1024 == info.totalram * info.mem_unit / 1024, "as sysinfo(2) has it");
	is_int((intmax_t)ram.swap_bytes, (intmax_t)info.totalswap * info.mem_unit, "swap too");
	ok(ram.available_bytes > 0 && ram.available_bytes <= ram.total_bytes, "some is available");
}

/* A file with its folders. */
static void plant(const char *path, const char *text)
{
	char dir[256];
	FILE *f;

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		mkdir(dir, 0755);
	}
	f = fopen(path, "we");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

/* What is said of us where the kernel says `groups` of us. */
static int limit(const char *groups, uint64_t *bytes)
{
	char proc[64];
	int err;

	*bytes = 0;
	plant("/tmp/cgroup", groups);
	snprintf(proc, sizeof(proc), "/proc/%d/cgroup", (int)getpid());
	if (mount("/tmp/cgroup", proc, NULL, MS_BIND, NULL) < 0)
		return -errno;
	err = ram_limit_of(getpid(), bytes);
	umount2(proc, MNT_DETACH);
	return err;
}

static void test_limit(void)
{
	uint64_t bytes;

	if (mount("cgroup", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0) {
		skip(9, "no /sys/fs/cgroup to mount over");
		return;
	}
	plant("/sys/fs/cgroup/a/memory.max", "1000000\n");
	plant("/sys/fs/cgroup/a/b/memory.max", "max\n");
	plant("/sys/fs/cgroup/memory/v/memory.limit_in_bytes", "2000000\n");
	plant("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	is_int(limit("0::/a/b\n", &bytes), 1, "version 2: a limit");
	is_int((intmax_t)bytes, 1000000, "that of the group above");
	is_int(limit("0::/\n", &bytes), 0, "the root has none");
	is_int(limit("9:name=systemd:/a\n4:memory:/v\n0::/c\n", &bytes), 1, "version 1: a limit");
	is_int((intmax_t)bytes, 2000000, "as its file has it");
	is_int(limit("4:memory:/\n", &bytes), 0, "version 1: none");
	is_int(limit("4:memory:/v\n0::/a\n", &bytes), 1, "both versions");
	is_int((intmax_t)bytes, 1000000, "the lower one");
	is_int(limit("nonsense\n4:memory\n0::a\n", &bytes), 0, "nonsense is none");
	is_int(ram_limit_of(0x7ffffff0, &bytes), -ENOENT, "no such process");
}

int main(void)
{
	namespace_enter();
	test_read();
	test_limit();
	return done_testing();
}
