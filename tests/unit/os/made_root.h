/* made_root.h - a folder with a made-up /proc, /sys and /dev, for what looks at a host by files. Owned by the test that includes
 * it; after cmocka.h. */
#ifndef BULKHEAD_TESTS_UNIT_OS_MADE_ROOT_H
#define BULKHEAD_TESTS_UNIT_OS_MADE_ROOT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64]; /* "" before it is made */

static int remove_root(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	return system(cmd);
}

/* A file below it, with the folders that it needs. */
static void file(const char *path, const char *text)
{
	char full[256], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#endif
