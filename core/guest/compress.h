/*
 * The compress job: inputs, one after the other, through zstd, each into its output.
 *
 *	compress_open     the encoder, and with `to` the job in its space
 *	compress_input    open, encode, publish, remove: one input
 *	compress_close    what several inputs share is published, and the record written
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/encode.h"
#include "guest/levels.h"
#include "guest/inputs.h"
#include "guest/job.h"
#include "guest/target.h"

enum compress_action { ACTION_COMPRESS, ACTION_DECOMPRESS, ACTION_TEST };

struct compress_options {
	enum compress_action action;
	struct encode_options encode;
	int adapt_min, adapt_max; /* levels that follow the drain; 0: encode.level throughout */
	const char *to;		  /* a folder in a space; NULL: ordinary files */
	const char *output;	  /* what it is called, "-" is stdout; NULL: as the input */
	bool shared;		  /* there are several inputs for `output` */
	bool live;		  /* objects are in sight while they grow */
	bool replace;		  /* names that are taken; also reads links and devices */
	bool remove;		  /* inputs, once their output is durable; not with `shared` */
	bool no_sparse;		  /* decoded files get no holes */
	bool pass_through;	  /* decoding: what is no zstd is copied as it is */
	int64_t max_wait_ns;	  /* for room; 0: no bound */
	void (*tick)(void *);	  /* called between pieces; for progress. NULL: nobody */
	void *tick_cookie;
};

struct compress {
	struct compress_options options;
	struct encoder *encoder;
	struct levels levels; /* with adapt_max */
	struct job job;
	bool has_job;
	struct target shared;	     /* of all inputs, where the options say so */
	bool spoilt;		     /* half an input is in `shared`, or it could not be opened */
	struct encode_counts counts; /* of the present input */
	const char *input_path;	     /* of the present input, as are these */
	int64_t input_start_ns;
	uint64_t input_size;	    /* or SOURCE_SIZE_UNKNOWN */
	struct encode_counts total; /* of those whose output is there */
	uint64_t done, failed;	    /* inputs */
	uint64_t objects;
	int64_t start_ns;
	int64_t end_ns; /* set by compress_close(), as are these */
	int64_t cpu_ns;
	int64_t blocked_ns; /* waiting for room */
};

/*
 * Whether an output of several inputs would replace one of them: it would be gone before its turn
 * to be read. 0, or -EINVAL and the error. compress_input() sees to outputs of one.
 */
int compress_check(const struct compress_options *options, const struct inputs *inputs,
		   struct mn_error *e);

/* 0, or -errno and the error, with nothing left open. */
int compress_open(struct compress *c, const struct compress_options *options, struct mn_error *e);

/* 0, or -errno and the error, which names the input or the output. */
int compress_input(struct compress *c, const struct input *input, struct mn_error *e);

/* Whether what the inputs share will not be published, so that no more of them need be read. */
bool compress_lost(const struct compress *c);

/*
 * 0, or -errno and the error when what the inputs share could not be published: then none of them
 * is done. An object or file that they share is not published either when there is a request to
 * stop: it would lack those that were not read.
 */
int compress_close(struct compress *c, struct mn_error *e);
