/* Names: what an admin may call a VM and a space, and a guest an object. */
#include "space/name.h"

#include <errno.h>
#include <limits.h>

#include "tests/tap.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define PART_31	     "abcdefghijklmnopqrstuvwxyz01234"

static void parts(void)
{
	static const char *const good[] = {"a",	  "Z",	"0",  "web1", "a.b_c-d",
					   "a..", "a-", "1.", PART_31};
	static const char *const bad[] = {
		"",    ".",	      "..",  "-a",  "_a",  ".a", "a/b",	      "a b", "a\n",
		"a\t", "caf\xc3\xa9", "a:b", "a,b", "a=b", "a*", PART_31 "5", "a\\", "'a'",
	};

	for (size_t i = 0; i < COUNT(good); i++)
		ok(name_part_valid(good[i]), "\"%s\" is a name", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(!name_part_valid(bad[i]), "bad name %zu is none", i);
	for (int c = 1; c < 256; c++) {
		char first[] = {(char)c, '\0'}, second[] = {'a', (char)c, '\0'};
		bool letter =
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (name_part_valid(first) != letter ||
		    name_part_valid(second) != (letter || c == '.' || c == '_' || c == '-'))
			ok(false, "byte %d", c);
	}
}

static void vms(void)
{
	struct mn_error e = MN_ERROR_INIT;

	is_int(name_check_vm("web1", &e), 0, "a VM's name");
	is_int(name_check_vm("web1/out", &e), -EINVAL, "a space's is none");
	is_int(e.status, MN_USAGE, "which is a matter of usage");
	ok(strstr(e.text, "\"web1/out\"") && strstr(e.text, "want"), "quoted, with what is wanted");
	is_int(name_check_vm("", NULL), -EINVAL, "none, without an error to fill");
}

static void spaces(void)
{
	static const char *const bad[] = {
		"",	 "/",	 "a",	 "a/",	      "/b",   "a//b",		"a/b/",
		"a/b/c", "a/.",	 "../b", "a/..",      "/a/b", "a/" PART_31 "5", PART_31 "5/b",
		"a /b",	 "a/ b", "-a/b", "a/.memnet",
	};
	struct space_name name;
	struct mn_error e = MN_ERROR_INIT;

	is_int(name_parse("web1/out", &name, &e), 0, "a space's name");
	is_str(name.vm, "web1", "has a VM");
	is_str(name.space, "out", "and a space");
	is_int(name_parse(PART_31 "/" PART_31, &name, &e), 0, "each part as long as may be");
	is_str(name.vm, PART_31, "a whole VM");
	is_str(name.space, PART_31, "and a whole space");
	for (size_t i = 0; i < COUNT(bad); i++) {
		memset(&e, 0, sizeof(e));
		if (name_parse(bad[i], &name, &e) != -EINVAL || e.status != MN_USAGE ||
		    !strstr(e.text, "want VM/SPACE"))
			ok(false, "\"%s\" is refused", bad[i]);
	}
	ok(true, "bad names are refused");
}

static void objects(void)
{
	static const char *const good[] = {
		"a",	    "a/b",	".hidden", "...", "a/...",    "a b",	"-",
		"a\nb",	    "\xff\xfe", "%2F",	   "*",	  ".memnetx", "memnet", ".virtfs_metadata_",
		"a/.memne", "..a",	"a..",
	};
	static const char *const bad[] = {
		"",
		"/",
		"/a",
		"a/",
		"a//b",
		".",
		"..",
		"./a",
		"a/.",
		"a/../b",
		"../a",
		"a/..",
		".memnet",
		".memnet/part/x",
		"a/.memnet",
		"a/.memnet/b",
		".virtfs_metadata",
		"a/.virtfs_metadata/b",
	};

	for (size_t i = 0; i < COUNT(good); i++)
		ok(object_path_valid(good[i]), "object %zu", i);
	for (size_t i = 0; i < COUNT(bad); i++)
		ok(!object_path_valid(bad[i]), "no object: \"%s\"", bad[i]);
}

static void long_objects(void)
{
	char path[OBJECT_PATH_MAX + 2];

	memset(path, 'a', sizeof(path));
	path[255] = '\0';
	ok(object_path_valid(path), "a component of 255 bytes");
	path[255] = 'a';
	path[256] = '\0';
	ok(!object_path_valid(path), "one of 256");
	memset(path, 'a', sizeof(path));
	for (size_t i = 200; i < sizeof(path); i += 200)
		path[i] = '/';
	path[OBJECT_PATH_MAX] = '\0';
	ok(object_path_valid(path), "a path of %d bytes", OBJECT_PATH_MAX);
	path[OBJECT_PATH_MAX] = 'a';
	path[OBJECT_PATH_MAX + 1] = '\0';
	ok(!object_path_valid(path), "one more");
}

int main(void)
{
	parts();
	vms();
	spaces();
	objects();
	long_objects();
	return done_testing();
}
