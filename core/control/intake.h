/*
 * Records, taken from `.memnet/jobs`: each once, so many at a time, and gone when it is taken.
 *
 * What is no record (a folder, a large file, nonsense) is removed and counted, too. A guest that
 * puts 10^6 files there is read at INTAKE_MAX a look, and what it cannot get in meanwhile is its
 * own loss. The times in a record are of the guest's clock, so only differences are taken; the end
 * is when the kernel of the host saw the file renamed (its ctime, which no guest can set).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/folder.h"
#include "control/record_check.h"

#define INTAKE_MAX 64

struct intake {
	struct job_record record[INTAKE_MAX];
	size_t count;
	uint64_t nonsense; /* ever */
	bool more;	   /* some were left for the next time */
	int64_t taken_ns;  /* with `keep`: the latest change time looked at, of the wall clock */
};

/*
 * Takes what is there at now_ns into intake->record. With `keep`, for a dry run, nothing is removed
 * and those not seen before are read.
 */
void intake_take(struct intake *intake, int rootfd, int64_t now_ns, bool keep,
		 struct folder_reader *reader);
