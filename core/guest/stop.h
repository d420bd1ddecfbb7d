/*
 * INT, TERM and HUP as a request to stop, looked at between two steps. Signals are the process's,
 * so this is state of the process. System calls that wait are interrupted (no SA_RESTART), and
 * nothing waits longer than a second, because a signal may arrive just before the call.
 */
#pragma once

/* Catches them from now on. */
void stop_install(void);

/* The signal that asked, or 0. */
int stop_signal(void);

/* 0, or -EINTR once a signal asked. */
int stop_check(void);
