/*
 * What files other processes have open: the links in /proc/PID/fd.
 *
 * Among them are files of any file system, and a network's may be one whose server is away: stat(2)
 * of such a file waits for it for ever. Nothing here asks a server, for what is looked for is a
 * tmpfs of this kernel's.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* One file; with the inode 0, any of that file system. */
struct openfile {
	dev_t device;
	ino_t inode;
};

/* Whether the link `name` in `dirfd`, "1234/cwd", leads to it. 1 or 0. */
int openfile_leads_to(int dirfd, const char *name, const struct openfile *f);

/* Whether a name in /proc is the folder of a process, and not of ours. */
bool openfile_is_other(const char *name);

/* Whether the process `pid` (the folder of that name in /proc, open as `procfd`) has it open. 1, 0
 * or -errno. */
int openfile_held(int procfd, const char *pid, const struct openfile *f);
