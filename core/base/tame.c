#include "base/tame.h"

#include <stdbool.h>

void tame(char *text, char instead)
{
	for (unsigned char *s = (unsigned char *)text; *s; s++) {
		bool c1 = s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f;

		if (c1)
			*s++ = (unsigned char)instead;
		if (c1 || *s < 0x20 || *s == 0x7f)
			*s = (unsigned char)instead;
	}
}
