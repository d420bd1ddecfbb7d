/* The two things that a service and systemd tell each other (sd_notify(3), sd_listen_fds(3)). */
#pragma once

/* Sends "READY=1" and the like to NOTIFY_SOCKET, if there is one. */
void notify_state(const char *state);

/* The number of sockets handed over, from descriptor NOTIFY_LISTEN_FD on; 0: none for us. */
#define NOTIFY_LISTEN_FD 3
int notify_listen_fds(void);
