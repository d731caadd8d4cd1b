/* failing.h - the control block of failing calls, in a file that both sides map: who arms it, and the programs in which the
 * k-th call of a kind then fails, once, whichever process of the program makes it. */
#ifndef BULKHEAD_TESTS_FAIL_FAILING_H
#define BULKHEAD_TESTS_FAIL_FAILING_H

#include <stdint.h>

#define FAILING_ENV "BULKHEAD_FAILING" /* names the file */

enum failing_kind { FAIL_NOTHING, FAIL_MEMORY, FAIL_FDS, FAIL_MMAP, FAIL_IO, FAIL_GRANTS, FAIL_KINDS };

struct failing {
	uint32_t kind;	/* enum failing_kind */
	uint32_t at;	/* k, from 1 on */
	uint32_t count; /* calls of that kind so far */
	uint32_t fired;
	char where[32]; /* the function that failed */
};

#endif
