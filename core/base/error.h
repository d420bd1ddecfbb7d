/*
 * What went wrong, for whoever prints it.
 *
 * Core functions return 0 or -errno and never print for the user. Those that set something up also
 * take a last `struct mn_error *` and leave in it one line, `OBJECT: cause (what to do next)`, and
 * the exit status the command should end with. The hot path returns a bare -errno.
 */
#pragma once

/* Exit statuses, the same for every command (memnet(1), EXIT STATUS). */
enum mn_status {
	MN_OK = 0,
	MN_FAILED = 1,
	MN_USAGE = 2,
	MN_PARTIAL = 3, /* some of several failed */
	MN_ABSENT = 4,	/* no such VM, space or object */
	MN_BUSY = 5,	/* busy or locked */
	MN_TIMEOUT = 6, /* QEMU or the guest did not answer in time */
	MN_REFUSED = 7, /* data would be lost */
};

struct mn_error {
	enum mn_status status;
	char text[480];
};

#define MN_ERROR_INIT                                                                              \
	{                                                                                          \
		.status = MN_OK, .text = ""                                                        \
	}

/*
 * Sets the error and returns -err; err is a positive errno value. `e` may be NULL. A text too long
 * is cut.
 */
int mn_fail(struct mn_error *e, enum mn_status status, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same with MN_FAILED and ": " and the text of err behind the message. */
int mn_fail_errno(struct mn_error *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there. Keeps the status. */
void mn_error_prefix(struct mn_error *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
