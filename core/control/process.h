/* What a child forked off the loop does first. */
#pragma once

#include <stddef.h>

/*
 * Closes all descriptors but the standard ones and keep[0 .. n): the child would else keep alive
 * what its parent's death is to close. Standard input and output become /dev/null. Signals for the
 * parent are blocked.
 */
void process_isolate(const int keep[], size_t n);
