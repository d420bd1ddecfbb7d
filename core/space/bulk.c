#include "space/bulk.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "space/layout.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* Less is a message or two anyhow. */
#define BULK_MIN (16 * 1024)

#ifndef MADV_COLLAPSE
#	define MADV_COLLAPSE 25
#endif

/* One request is under way at most. */
static struct {
	enum { UNTRIED, READY, UNFIT } state;
	int fd;
	char *buffer; /* a huge page */
	char *sq, *cq;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
} ring;

bool bulk_pretends(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 8));
}

/* For the life of the process. */
static void *map_ring(int fd, size_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	return p == MAP_FAILED ? NULL : p;
}

static bool make_buffer(int fd)
{
	char *p = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	struct iovec iov = {.iov_len = HUGE_PAGE};

	if (p == MAP_FAILED)
		return false;
	ring.buffer = p + (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
	iov.iov_base = ring.buffer;
	ring.buffer[0] = 1;
	return madvise(ring.buffer, HUGE_PAGE, MADV_COLLAPSE) == 0 &&
	       syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1) == 0;
}

static bool open_ring(void)
{
	struct io_uring_params *p = &ring.params;
	cleanup_fd int fd = bulk_pretends() ? (int)syscall(SYS_io_uring_setup, 1, p) : -1;

	if (fd < 0 || !(p->features & IORING_FEAT_SINGLE_MMAP) || !make_buffer(fd))
		return false;
	ring.sq = map_ring(fd, p->sq_off.array + p->sq_entries * sizeof(uint32_t),
			   IORING_OFF_SQ_RING);
	ring.cq = map_ring(fd, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
			   IORING_OFF_CQ_RING);
	ring.entries = map_ring(fd, p->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	if (!ring.sq || !ring.cq || !ring.entries)
		return false;
	ring.fd = STEAL_FD(fd);
	return true;
}

static uint32_t *at(char *base, uint32_t offset)
{
	return (uint32_t *)(void *)(base + offset);
}

static void submit(int fd, size_t size)
{
	const struct io_sqring_offsets *o = &ring.params.sq_off;
	uint32_t *tail = at(ring.sq, o->tail), slot = *tail & *at(ring.sq, o->ring_mask);

	ring.entries[slot] = (struct io_uring_sqe){
		.opcode = IORING_OP_WRITE_FIXED,
		.fd = fd,
		.off = UINT64_MAX, /* where the file is at */
		.addr = (uintptr_t)ring.buffer,
		.len = (uint32_t)size,
	};
	at(ring.sq, o->array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

/* What the request came to: its result, or nothing yet. */
static bool reap(int *result)
{
	const struct io_cqring_offsets *o = &ring.params.cq_off;
	uint32_t *head = at(ring.cq, o->head);
	const struct io_uring_cqe *done =
		(const struct io_uring_cqe *)(const void *)(ring.cq + o->cqes);

	if (__atomic_load_n(at(ring.cq, o->tail), __ATOMIC_ACQUIRE) == *head)
		return false;
	*result = done[*head & *at(ring.cq, o->ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

/* The result as write(2) gives it. False: the kernel did not take the request. */
static bool ring_write(int fd, size_t size, ssize_t *written)
{
	unsigned fresh = 1;
	int result = 0;

	submit(fd, size);
	while (!reap(&result)) {
		/* A signal may end the wait; the request goes on, and is waited for anew. */
		long n = syscall(SYS_io_uring_enter, ring.fd, fresh, 1, IORING_ENTER_GETEVENTS,
				 NULL, 0);

		if (n < 0 && errno != EINTR) {
			result = -EIO;
			ring.state = UNFIT;
			break;
		}
		fresh -= n > 0;
	}
	errno = result < 0 ? -result : errno;
	*written = result < 0 ? -1 : result;
	return fresh == 0;
}

/* Through the ring, where that is to be had. */
static bool try_ring(int fd, const void *data, size_t size, ssize_t *written)
{
	if (ring.state == UNTRIED)
		ring.state = open_ring() ? READY : UNFIT;
	if (ring.state == UNFIT)
		return false;
	memcpy(ring.buffer, data, size);
	return ring_write(fd, size, written);
}

ssize_t bulk_write(int fd, const void *data, size_t size)
{
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	ssize_t written = 0;
	bool done;

	if (size < BULK_MIN || size > SPACE_WRITE_MAX || atomic_flag_test_and_set(&busy))
		return write(fd, data, size);
	done = try_ring(fd, data, size, &written);
	atomic_flag_clear(&busy);
	return done ? written : write(fd, data, size);
}
