#include "recovery/net/steer.h"

#include "recovery/net/steer_prog.h"
#include "ring/base/base.h"

#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as the program was made");

static int call(int cmd, union bpf_attr *a)
{
	long r = syscall(SYS_bpf, cmd, a, sizeof(*a));

	return r < 0 ? -errno : (int)r;
}

static uint64_t address(const void *p) { return (uint64_t)(uintptr_t)p; }

int steer_map(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY,
			    .key_size = sizeof(uint32_t),
			    .value_size = sizeof(struct steer_map),
			    .max_entries = 1,
			    .map_flags = BPF_F_MMAPABLE,
			    .map_name = "bulkhead_steer"};

	return call(BPF_MAP_CREATE, &a);
}

bool steer_is_map(int fd)
{
	struct bpf_map_info info = {0};
	union bpf_attr a = {.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = address(&info)}};

	return call(BPF_OBJ_GET_INFO_BY_FD, &a) == 0 && info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(struct steer_map);
}

bool steer_in_use(int map)
{
	uint32_t key = 0;
	struct steer_map *m = malloc(sizeof(*m));
	union bpf_attr a = {.map_fd = (uint32_t)map, .key = address(&key), .value = address(m)};
	bool used = m && call(BPF_MAP_LOOKUP_ELEM, &a) == 0 && m->state[m->now % STEER_STATES].types != 0;

	free(m);
	return used;
}

/* The place that steer.bpf.c keeps for it: an instruction of two words, whose immediate is the upper half of each. */
static void put_map(uint64_t *prog, size_t n, int map)
{
	const uint64_t low = STEER_PLACE << 32, high = STEER_PLACE >> 32 << 32;

	for (size_t i = 0; i + 1 < n; i++) {
		if ((prog[i] & 0xff) != (BPF_LD | BPF_DW | BPF_IMM) || prog[i] >> 32 << 32 != low || prog[i + 1] != high)
			continue;
		prog[i] = (prog[i] & 0xfff) | (uint64_t)BPF_PSEUDO_MAP_VALUE << 12 | (uint64_t)(uint32_t)map << 32;
		prog[i + 1] = 0;
	}
}

#define TRIES 10 /* the kernel gives up looking at a program when a signal, or what it takes for one, waits for this process */

int steer_load(int map)
{
	uint64_t prog[ARRAY_LEN(steer_prog)];
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			    .insn_cnt = ARRAY_LEN(prog),
			    .insns = address(prog),
			    .license = address(""),
			    .prog_name = "bulkhead_steer"};
	int rc = -EAGAIN;

	memcpy(prog, steer_prog, sizeof(prog));
	put_map(prog, ARRAY_LEN(prog), map);
	for (unsigned i = 0; rc == -EAGAIN && i < TRIES; i++)
		rc = call(BPF_PROG_LOAD, &a);
	return rc;
}

int steer_attach(int tap, int map)
{
	int prog = steer_load(map), rc;

	if (prog < 0)
		return prog;
	rc = ioctl(tap, TUNSETSTEERINGEBPF, &prog) ? -errno : 0;
	close(prog);
	return rc;
}

int steer_possible(void)
{
	int map = steer_map(), prog = map < 0 ? map : steer_load(map);

	if (prog >= 0)
		close(prog);
	if (map >= 0)
		close(map);
	return MIN(prog, 0);
}
