/* Media types, by the end of a name. */
#pragma once

/*
 * Reads the system's list (mime.types(5): "type ext ext…") into memory, once, before mime_type() is
 * asked. What memnet's own table has, it keeps. A missing file is no error.
 */
void mime_load(const char *file);

/* The type for an object's name; "application/octet-stream" for what is not known. */
const char *mime_type(const char *path);

/* The type of what a compressed object holds: "a.html.zst" is HTML. */
const char *mime_inner_type(const char *path);
