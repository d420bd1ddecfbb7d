/* Any bytes as a head of RTSP: what is taken is within its bounds. */
#include "host/rtsp_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *head = (const char *)data;
	struct rtsp_request r;
	size_t scanned = 0, n;

	n = http_head_size(head, size, &scanned);
	if (n == 0 || rtsp_request_parse(head, n, true, &r))
		return 0;
	if (r.body > RTSP_BODY_MAX || memchr(r.path, '\0', sizeof(r.path)) == NULL)
		abort();
	if (r.from_ms < -1 || r.to_ms < -1 || (r.to_ms >= 0 && r.to_ms < r.from_ms))
		abort();
	if (r.transport_given &&
	    (r.transport.tcp	     ? r.transport.channel == 255 || r.transport.multicast
	     : r.transport.multicast ? false
				     : r.transport.port == 0 || r.transport.port == 65535))
		abort();
	for (size_t i = 0; i < r.url.size; i++) {
		if (r.url.at[i] <= ' ' || r.url.at[i] >= 0x7f)
			abort();
	}
	return 0;
}
