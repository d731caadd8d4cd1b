/* The daemon itself, as a process: what its clients see, what the hub's orders do, and what is left after SIGKILL. */
#include "tests/unit/store/stored_rig.h"

static void replies_and_events_in_order(void **state)
{
	struct client c;
	const char *v[1];

	(void)state;
	client_open(&c);
	assert_int_equal(ASK(&c, XS_WATCH, "/a\0T"), 0);
	expect_event(&c, "/a", "T");
	send_msg(&c, XS_WRITE, 0, "/a/b\0v", 6);
	expect_event(&c, "/a/b", "T");
	assert_int_equal(next_msg(&c), 1);
	assert_int_equal(c.r.hdr.type, XS_WRITE);
	assert_int_equal(ASK(&c, XS_WATCH, "/a\0T"), -EEXIST);
	assert_int_equal(ASK(&c, XS_WATCH, "@releaseDomain\0R"), 0);
	expect_event(&c, "@releaseDomain", "R");
	assert_int_equal(ASK(&c, XS_UNWATCH, "/a\0X"), -ENOENT);
	assert_int_equal(ASK(&c, XS_GET_PERMS, "/a"), 0);
	assert_string_equal(c.r.data, "n0");
	assert_int_equal(ASK(&c, XS_DIRECTORY_PART, "/a\0000"), 0);
	assert_int_equal(xs_strings(c.r.data, c.r.hdr.len, v, 1), 3); /* generation, "b", "" */
	assert_int_equal(ASK(&c, XS_GET_DOMAIN_PATH, "7"), 0);
	assert_string_equal(c.r.data, "/local/domain/7");
	assert_int_equal(ASK(&c, XS_IS_DOMAIN_INTRODUCED, "7"), 0);
	assert_string_equal(c.r.data, "F");
	assert_int_equal(ASK(&c, XS_INTRODUCE, "7\0001\0002"), 0);
	assert_int_equal(ASK(&c, XS_IS_DOMAIN_INTRODUCED, "7"), 0);
	assert_string_equal(c.r.data, "T");
	assert_int_equal(ASK(&c, XS_RESUME, "7"), 0);
	assert_int_equal(ASK(&c, XS_SET_TARGET, "7\0008"), -ENOENT);
	send_msg(&c, XS_RELEASE, 0, "7", 2);
	expect_event(&c, "@releaseDomain", "R");
	assert_int_equal(next_msg(&c), 1);
	assert_int_equal(ASK(&c, XS_RELEASE, "7"), -ENOENT);
	assert_int_equal(ask(&c, 200, "x", 2), -ENOSYS);
	assert_int_equal(ask(&c, XS_WATCH_EVENT, "x", 2), -ENOSYS);
	assert_int_equal(ask(&c, XS_READ, "/a", 2), -EINVAL); /* no NUL */
	assert_int_equal(ask(&c, XS_READ, NULL, 0), -EINVAL);
	close(c.fd);
}

/* XSA-484 and its relatives. */
static void reset_inside_a_transaction(void **state)
{
	struct client c;
	uint32_t tx;

	(void)state;
	client_open(&c);
	assert_int_equal(ASK(&c, XS_TRANSACTION_START, ""), 0);
	assert_true(xs_parse_u32(c.r.data, UINT32_MAX, &tx));
	assert_int_equal(ask_tx(&c, XS_WRITE, tx, "/x\0001", 4, NULL), 0);
	assert_int_equal(ask_tx(&c, XS_TRANSACTION_START, tx, "", 1, NULL), -EBUSY);
	assert_int_equal(ask_tx(&c, XS_RESET_WATCHES, tx, "", 1, NULL), 0);
	assert_int_equal(ask_tx(&c, XS_TRANSACTION_END, tx, "T", 2, NULL), -ENOENT);
	assert_int_equal(ask_tx(&c, XS_RESET_WATCHES, tx, "", 1, NULL), -ENOENT);
	assert_int_equal(ASK(&c, XS_RESET_WATCHES, ""), 0);
	assert_int_equal(ASK(&c, XS_READ, "/x"), -ENOENT);
	assert_int_equal(ASK(&c, XS_TRANSACTION_END, "T"), -ENOENT);
	assert_int_equal(ASK(&c, XS_TRANSACTION_START, ""), 0);
	assert_true(xs_parse_u32(c.r.data, UINT32_MAX, &tx));
	assert_int_equal(ask_tx(&c, XS_TRANSACTION_END, tx, "X", 2, NULL), -EINVAL);
	assert_int_equal(ask_tx(&c, XS_TRANSACTION_END, tx, "F", 2, NULL), 0);
	close(c.fd);
}

static void a_bad_client_harms_only_itself(void **state)
{
	static const uint32_t bad[] = {4097, 0x7fffffff, 0x80000000, 0xffffffff};
	static char big[XENSTORE_PAYLOAD_MAX];
	struct client good, c;

	(void)state;
	client_open(&good);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct xsd_sockmsg h = {.type = XS_READ, .len = bad[i]};

		client_open(&c);
		assert_int_equal(send(c.fd, &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
		assert_int_equal(next_msg(&c), 0);
		close(c.fd);
	}
	/* XSA-324: an event that fits into no message. */
	memset(big, 'x', sizeof(big));
	memcpy(big, "/w", 3);
	big[4000] = '\0';
	assert_int_equal(ask(&good, XS_WATCH, big, 4001), 0);
	expect_event(&good, "/w", big + 3);
	memcpy(big, "/w/", 3);
	big[2000] = '\0';
	assert_int_equal(ask(&good, XS_MKDIR, big, 2001), 0);
	/* Half a request, and gone. */
	client_open(&c);
	assert_int_equal(send(c.fd, big, 7, MSG_NOSIGNAL), 7);
	close(c.fd);
	assert_int_equal(do_write(&good, "/still", "here"), 0);
	assert_int_equal(ASK(&good, XS_CONTROL, "check"), 0);
	assert_string_equal(good.r.data, "OK\n");
	close(good.fd);
}

static void the_hub_brings_guests_and_takes_them(void **state)
{
	struct client dom0, guest;
	int hub = hub_open(), sv[2];

	(void)state;
	client_open(&dom0);
	assert_int_equal(ASK(&dom0, XS_WATCH, "@introduceDomain\0I"), 0);
	expect_event(&dom0, "@introduceDomain", "I");
	assert_int_equal(hub_tell(hub, HUB_STORE_INTRODUCE, 3, -1), 0);
	expect_event(&dom0, "@introduceDomain", "I");
	guest_home(&dom0, hub, 3); /* telling it again is no event */
	assert_int_equal(ASK(&dom0, XS_UNWATCH, "@introduceDomain\0I"), 0);
	guest_open(&guest, hub, 3);
	assert_int_equal(do_write(&guest, "data/x", "1"), 0);
	assert_int_equal(ASK(&dom0, XS_READ, "/local/domain/3/data/x"), 0);
	assert_int_equal(do_write(&guest, "/x", "1"), -EACCES);
	assert_int_equal(ASK(&guest, XS_CONTROL, "check"), -EACCES);
	assert_int_equal(ASK(&guest, XS_INTRODUCE, "4\0001\0001"), -EACCES);
	assert_int_equal(ASK(&guest, XS_RELEASE, "3"), -EACCES);
	assert_int_equal(ASK(&guest, XS_WATCH, "data\0T"), 0);
	expect_event(&guest, "data", "T");
	assert_int_equal(do_write(&dom0, "/local/domain/3/data/y", "1"), 0);
	expect_event(&guest, "data/y", "T");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(hub_tell(hub, HUB_STORE_CONNECT, 4, sv[1]), -ENOENT);
	assert_int_equal(hub_tell(hub, HUB_STORE_CONNECT, 3, -1), -EBADF);
	close(sv[0]);
	close(sv[1]);
	assert_int_equal(ASK(&dom0, XS_WATCH, "@releaseDomain\0R"), 0);
	expect_event(&dom0, "@releaseDomain", "R");
	assert_int_equal(hub_tell(hub, HUB_STORE_RELEASE, 3, -1), 0);
	expect_event(&dom0, "@releaseDomain", "R");
	assert_int_equal(next_msg(&guest), 0);
	assert_int_equal(ASK(&dom0, XS_READ, "/local/domain/3"), -ENOENT);
	assert_int_equal(hub_tell(hub, HUB_STORE_RELEASE, 3, -1), -ENOENT);
	close(guest.fd);
	close(dom0.fd);
	close(hub);
}

static void died_of(int hub, uint16_t domid) { assert_int_equal(hub_tell(hub, HUB_STORE_RELEASE, domid, -1), 0); }

/* As in Xen 4.17: permissions of a special name say who else hears of it; it is no node, so that they can't be read. */
static void special_names_have_permissions(void **state)
{
	struct client dom0, guest;
	unsigned events = 0;
	int hub = hub_open();

	(void)state;
	client_open(&dom0);
	for (uint16_t d = 3; d <= 6; d++)
		guest_home(&dom0, hub, d);
	guest_open(&guest, hub, 3);
	assert_int_equal(ASK(&guest, XS_WATCH, "@releaseDomain\0R"), 0);
	expect_event(&guest, "@releaseDomain", "R");
	died_of(hub, 4);
	assert_int_equal(ask_tx(&guest, XS_GET_DOMAIN_PATH, 0, "3", 2, &events), 0);
	assert_int_equal(events, 0);
	assert_int_equal(ASK(&guest, XS_SET_PERMS, "@releaseDomain\0n0\0r3"), -EACCES);
	assert_int_equal(ASK(&dom0, XS_SET_PERMS, "@releaseDomain\0n0\0r3"), 0);
	assert_int_equal(ASK(&dom0, XS_SET_PERMS, "@introduceDomain\0n0\0r3"), 0);
	assert_int_equal(ASK(&dom0, XS_SET_PERMS, "@else\0n0\0r3"), -EINVAL);
	assert_int_equal(ASK(&dom0, XS_GET_PERMS, "@releaseDomain"), -EINVAL);
	assert_int_equal(ASK(&dom0, XS_READ, "@releaseDomain"), -EINVAL);
	died_of(hub, 5);
	expect_event(&guest, "@releaseDomain", "R");
	assert_int_equal(ASK(&guest, XS_WATCH, "@introduceDomain\0I"), 0);
	expect_event(&guest, "@introduceDomain", "I");
	guest_home(&dom0, hub, 7);
	expect_event(&guest, "@introduceDomain", "I");
	assert_int_equal(ASK(&dom0, XS_SET_PERMS, "@releaseDomain\0n0"), 0);
	died_of(hub, 6);
	assert_int_equal(ask_tx(&guest, XS_GET_DOMAIN_PATH, 0, "3", 2, &events), 0);
	assert_int_equal(events, 0);
	close(guest.fd);
	close(dom0.fd);
	close(hub);
}

static void domains_that_died_while_the_store_was_down(void **state)
{
	struct client dom0;
	int hub = hub_open();

	(void)state;
	client_open(&dom0);
	guest_home(&dom0, hub, 3);
	guest_home(&dom0, hub, 4);
	assert_int_equal(ASK(&dom0, XS_INTRODUCE, "9\0001\0001"), 0);
	close(hub);
	close(dom0.fd);
	store_down(SIGKILL);
	store_up();
	client_open(&dom0);
	assert_int_equal(ASK(&dom0, XS_READ, "/local/domain/3"), 0);
	hub = hub_open();
	assert_int_equal(hub_tell(hub, HUB_STORE_INTRODUCE, 4, -1), 0);
	assert_int_equal(hub_tell(hub, HUB_STORE_SYNCED, 0, -1), 0);
	assert_int_equal(ASK(&dom0, XS_READ, "/local/domain/3"), -ENOENT);
	assert_int_equal(ASK(&dom0, XS_READ, "/local/domain/4"), 0);
	assert_int_equal(ASK(&dom0, XS_IS_DOMAIN_INTRODUCED, "9"), 0);
	assert_string_equal(dom0.r.data, "T");
	close(hub);
	close(dom0.fd);
}

/* XSA-326: who does not read is not read, and nobody else notices. */
static void a_guest_that_does_not_read(void **state)
{
	static char value[1900], wire[XS_FRAME_MAX];
	struct client dom0, guest;
	int hub = hub_open();
	size_t len = xs_frame(wire, XS_READ, 1, 0, "big", 4);
	unsigned sent = 0, got = 0;

	(void)state;
	client_open(&dom0);
	guest_home(&dom0, hub, 3);
	guest_open(&guest, hub, 3);
	memset(value, 'v', sizeof(value) - 1);
	assert_int_equal(do_write(&guest, "big", value), 0);
	/* Until the pipe is full both ways: the store has stopped reading. */
	for (struct pollfd p = {guest.fd, POLLOUT, 0}; poll(&p, 1, 200) == 1; sent++) {
		assert_int_equal(send(guest.fd, wire, len, MSG_NOSIGNAL), len);
		assert_in_range(sent, 0, 200000);
	}
	assert_int_equal(ASK(&dom0, XS_CONTROL, "quota\0003"), 0);
	assert_non_null(strstr(dom0.r.data, "outstanding     :       20"));
	assert_int_equal(do_write(&dom0, "/others", "go on"), 0);
	while (got < sent) {
		assert_int_equal(next_msg(&guest), 1);
		assert_int_equal(guest.r.hdr.type, XS_READ);
		got++;
	}
	assert_int_equal(ASK(&guest, XS_READ, "big"), 0);
	assert_int_equal(ASK(&dom0, XS_CONTROL, "quota\0003"), 0);
	assert_non_null(strstr(dom0.r.data, "outstanding     :        0"));
	close(guest.fd);
	close(dom0.fd);
	close(hub);
}

static void an_event_that_waits_is_not_queued_again(void **state)
{
	struct client dom0, guest;
	int hub = hub_open();
	unsigned events = 0;

	(void)state;
	client_open(&dom0);
	guest_home(&dom0, hub, 3);
	guest_open(&guest, hub, 3);
	assert_int_equal(ASK(&guest, XS_WATCH, "n\0T"), 0);
	expect_event(&guest, "n", "T");
	/* More than the socket holds, were each of them queued. */
	for (int i = 0; i < 20000; i++)
		assert_int_equal(do_write(&dom0, "/local/domain/3/n", "1"), 0);
	assert_int_equal(ask_tx(&guest, XS_READ, 0, "n", 2, &events), 0);
	assert_in_range(events, 1, 19999);
	close(guest.fd);
	close(dom0.fd);
	close(hub);
}

/* XSA-206: a guest that writes without a pause does not keep others' transactions from coming to an end. */
static void commits_of_a_guest_do_not_starve_others(void **state)
{
	struct client dom0, guest;
	int hub = hub_open(), tries = 0, rc;
	uint32_t tx;
	pid_t pid;

	(void)state;
	client_open(&dom0);
	guest_home(&dom0, hub, 3);
	guest_open(&guest, hub, 3);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			do_write(&guest, "busy", "x");
	}
	do {
		assert_int_equal(ASK(&dom0, XS_TRANSACTION_START, ""), 0);
		assert_true(xs_parse_u32(dom0.r.data, UINT32_MAX, &tx));
		rc = ask_tx(&dom0, XS_READ, tx, "/local/domain/3/busy", 21, NULL);
		assert_true(rc == 0 || rc == -ENOENT);
		/* As slow as a toolstack. */
		poll(NULL, 0, 3);
		assert_int_equal(ask_tx(&dom0, XS_WRITE, tx, "/result\0x", 9, NULL), 0);
		rc = ask_tx(&dom0, XS_TRANSACTION_END, tx, "T", 2, NULL);
		assert_true(rc == 0 || rc == -EAGAIN);
	} while (rc == -EAGAIN && ++tries < 100);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	print_message("%d conflicts before the commit\n", tries);
	assert_int_equal(rc, 0);
	close(guest.fd);
	close(dom0.fd);
	close(hub);
}

/* Writes one after the other, pipelined, until the store dies; every write that was acknowledged must be there. */
static void acknowledged_writes_outlive_a_kill(void **state)
{
	const char *seed = getenv("SEED");
	unsigned rng = seed ? (unsigned)strtoul(seed, NULL, 0) : (unsigned)clock_now();
	unsigned least[50] = {0}; /* of each key, the last value that was acknowledged */
	unsigned written = 50;

	(void)state;
	print_message("SEED=%u\n", rng);
	for (int round = 0; round < 25; round++) {
		unsigned killed_at = written + 1 + (rng = rng * 1103515245 + 12345) / 65536 % 3000;
		struct client c;
		char buf[2200];

		client_open(&c);
		for (unsigned i = written; i < written + 4000; i++) {
			int n = sprintf(buf, "/storm/k%u%c%u-%0*u", i % 50, 0, i, (int)(rng % 1500 + 1), i);
			char wire[XS_FRAME_MAX];
			size_t len = xs_frame(wire, XS_WRITE, i, 0, buf, (uint32_t)n);

			if (send(c.fd, wire, len, MSG_NOSIGNAL) != (ssize_t)len)
				break;
			if (i == killed_at)
				kill(store, SIGKILL);
			for (struct pollfd p = {c.fd, POLLIN, 0}; poll(&p, 1, 0) == 1 && next_msg(&c) == 1;) {
				assert_int_equal(c.r.hdr.type, XS_WRITE);
				least[c.r.hdr.req_id % 50] = c.r.hdr.req_id;
			}
		}
		while (next_msg(&c) == 1)
			least[c.r.hdr.req_id % 50] = c.r.hdr.req_id;
		close(c.fd);
		assert_int_equal(waitpid(store, NULL, 0), store);
		store_up();
		client_open(&c);
		/* What was acknowledged, or something later that was not. */
		for (unsigned k = 0; k < 50; k++) {
			int n = sprintf(buf, "/storm/k%u", k);

			if (!least[k])
				continue;
			assert_int_equal(ask(&c, XS_READ, buf, (size_t)n + 1), 0);
			assert_true(strtoul(c.r.data, NULL, 10) >= least[k]);
		}
		assert_int_equal(ASK(&c, XS_CONTROL, "check"), 0);
		assert_string_equal(c.r.data, "OK\n");
		close(c.fd);
		written += 4000;
	}
}

/* A limit on the file's size stands for a full disk. */
static void a_full_log_refuses_and_changes_nothing(void **state)
{
	char path[32], value[1500];
	struct client c;
	int rc = 0, n = 0;

	(void)state;
	store_down(SIGTERM);
	file_limit = 200000;
	store_up();
	client_open(&c);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (; rc == 0 && n < 1000; n++)
		rc = do_write(&c, (sprintf(path, "/full/n%d", n), path), value);
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(ask(&c, XS_READ, path, strlen(path) + 1), -ENOENT);
	assert_int_equal(do_write(&c, "/full/n0", value), -ENOSPC);
	assert_int_equal(ASK(&c, XS_READ, "/full/n0"), 0);
	assert_int_equal(ASK(&c, XS_CONTROL, "check"), 0);
	assert_string_equal(c.r.data, "OK\n");
	close(c.fd);
	store_down(SIGKILL);
	store_up();
	client_open(&c);
	sprintf(path, "/full/n%d", n - 2);
	assert_int_equal(ask(&c, XS_READ, path, strlen(path) + 1), 0);
	close(c.fd);
}

static void the_log_does_not_grow_for_ever(void **state)
{
	struct client c;
	char value[1500], path[128];
	struct stat sb;

	(void)state;
	client_open(&c);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 5000; i++)
		assert_int_equal(do_write(&c, i % 2 ? "/g/a" : "/g/b", value), 0);
	snprintf(path, sizeof(path), "%s/store.log", dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_in_range(sb.st_size, 1000, 2 << 20);
	close(c.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replies_and_events_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_inside_a_transaction, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_client_harms_only_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(the_hub_brings_guests_and_takes_them, setup, teardown),
		cmocka_unit_test_setup_teardown(special_names_have_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(domains_that_died_while_the_store_was_down, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(an_event_that_waits_is_not_queued_again, setup, teardown),
		cmocka_unit_test_setup_teardown(commits_of_a_guest_do_not_starve_others, setup, teardown),
		cmocka_unit_test_setup_teardown(acknowledged_writes_outlive_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_log_refuses_and_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_does_not_grow_for_ever, setup, teardown),
	};
	char *end;
	ssize_t n = readlink("/proc/self/exe", binary, sizeof(binary) - 32);

	/* BUILD/tests/unit/... -> BUILD/bin */
	binary[n > 0 ? n : 0] = '\0';
	end = strstr(binary, "/tests/");
	strcpy(end ? end : binary, "/bin/bulkhead-store");
	if (access(binary, X_OK) < 0) {
		print_message("skipped: %s is not built\n", binary);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
