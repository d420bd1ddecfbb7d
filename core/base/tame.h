/* What a peer wrote, made fit for a terminal and a log. */
#pragma once

/*
 * Puts `instead` in place of each control character of `text`: a line feed would forge a line of a
 * log, an escape sequence would be carried out by the reader's terminal. C1 controls are 0xc2 and
 * 0x80 to 0x9f in UTF-8, and both bytes go. The length stays.
 */
void tame(char *text, char instead);
