#include "guest/playlists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rename.h"
#include "guest/claim.h"

bool playlists_match(const char *name)
{
	size_t len = strlen(name);

	return (len > 5 && strcmp(name + len - 5, ".m3u8") == 0) ||
	       (len > 4 && strcmp(name + len - 4, ".mpd") == 0);
}

int playlists_add(struct playlists *p, const char *name)
{
	char **grown;

	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->names[i], name) == 0)
			return 0;
	grown = realloc(p->names, (p->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->names = grown;
	grown[p->count] = strdup(name);
	return grown[p->count] ? (p->count++, 0) : -ENOMEM;
}

void playlists_put_back(struct playlists *p, int dirfd)
{
	if (p->aside)
		(void)rename_new(dirfd, PLAYLISTS_ASIDE, dirfd, p->aside);
	free(STEAL_PTR(p->aside));
}

int playlists_set_aside(struct playlists *p, int dirfd)
{
	cleanup_free char *name = p->names[0];

	p->count--;
	memmove(p->names, p->names + 1, p->count * sizeof(*p->names));
	if (!claim_whole_at(dirfd, name))
		return 0;
	if (renameat(dirfd, name, dirfd, PLAYLISTS_ASIDE) < 0)
		return errno == ENOENT ? 0 : -errno;
	p->aside = STEAL_PTR(name);
	if (!claim_whole_at(dirfd, PLAYLISTS_ASIDE)) /* opened in that instant */
		playlists_put_back(p, dirfd);
	return 0;
}

void playlists_close(struct playlists *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->names[i]);
	free(p->names);
	free(p->aside);
	*p = (struct playlists){0};
}
