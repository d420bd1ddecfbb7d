/*
 * Scoped ownership: a variable declared with one of these gives its resource back when it goes out
 * of scope. On success the owner changes by a steal: `*out = STEAL_FD(fd)`.
 *
 * Memory on hot paths. musl's malloc has 0.04 to 0.22 of the speed of glibc's, and its copies of
 * less than 128 bytes 0.12: so whatever happens per request, per piece or per tick allocates
 * nothing and moves no bytes that the kernel can move. Connections come from slabs (host/conn.c),
 * compression contexts and buffers live as long as the run (guest/encode.h), the controller
 * allocates when it starts (control/orchestrator.h). Everything else may use malloc, and cJSON, as
 * it reads best.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free_pointer(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define cleanup_fd   __attribute__((cleanup(cleanup_close)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_file __attribute__((cleanup(cleanup_fclose)))
#define cleanup_dir  __attribute__((cleanup(cleanup_closedir)))

#define STEAL_FD(fd)                                                                               \
	({                                                                                         \
		int steal_fd_ = (fd);                                                              \
		(fd) = -1;                                                                         \
		steal_fd_;                                                                         \
	})
#define STEAL_PTR(p)                                                                               \
	({                                                                                         \
		__typeof__(p) steal_p_ = (p);                                                      \
		(p) = NULL;                                                                        \
		steal_p_;                                                                          \
	})
