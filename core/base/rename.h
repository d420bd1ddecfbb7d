/* A rename that takes nobody's name. */
#pragma once

/*
 * As renameat(2), but -EEXIST where `to` is taken. Atomic where the file system knows the flag of
 * renameat2(2) or hard links; where it has neither, there is a moment between look and rename. 0 or
 * -errno.
 */
int rename_new(int fromfd, const char *from, int tofd, const char *to);

/* The same of a file, where it most likely lies on 9p, which knows the links only. */
int rename_new_file(int fromfd, const char *from, int tofd, const char *to);
