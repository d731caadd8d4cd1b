/* The record of a vif: what is written down is found again, what a death cut off is not, and what is undone is forgotten, in the
 * reverse order. */
#include "recovery/net/net_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];
static char undone[500];
static const char *refuse; /* this key can't be undone */

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/net-state-XXXXXX");
	refuse = "";
	undone[0] = '\0';
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct net_state *open_state(const char *dev)
{
	struct net_state *s;

	assert_int_equal(net_state_open(dir, dev, true, &s), 0);
	return s;
}

static int undo(void *arg, const char *key, const char *value)
{
	(void)arg;
	snprintf(undone + strlen(undone), sizeof(undone) - strlen(undone), "%s(%s) ", key, value);
	return strcmp(key, refuse) == 0 ? -EPERM : 0;
}

static bool there(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void append(const char *name, const char *text)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_lines(void **state)
{
	struct net_state *s;

	(void)state;
	assert_int_equal(net_state_open(dir, "vif1.0", false, &s), -ENOENT);
	s = open_state("vif1.0");
	assert_false(there("vif1.0.vif")); /* until there is something to write */
	assert_int_equal(net_state_add(s, "tap", ""), 0);
	assert_int_equal(net_state_add(s, "mtu", "1500"), 0);
	assert_int_equal(net_state_add(s, "mtu", "9000"), 0); /* what was first is what it was before */
	assert_int_equal(net_state_add(s, "addr 10.0.0.1/32", ""), 0);
	assert_int_equal(net_state_add(s, "two\nlines", ""), -ENOSPC);
	net_state_close(s);
	assert_int_equal(net_state_open(dir, "vif1.0", false, &s), 0);
	assert_string_equal(net_state_get(s, "tap"), "");
	assert_string_equal(net_state_get(s, "mtu"), "1500");
	assert_null(net_state_get(s, "addr"));
	assert_null(net_state_get(s, "addr 10.0.0.1/3"));
	assert_int_equal(net_state_undo(s, undo, NULL), 0);
	assert_string_equal(undone, "addr 10.0.0.1/32() mtu(1500) tap() ");
	net_state_close(s);
	assert_false(there("vif1.0.vif"));
}

static void test_not_undone(void **state)
{
	struct net_state *s = open_state("vif1.0");

	(void)state;
	net_state_add(s, "a", "1");
	net_state_add(s, "b", "2");
	net_state_add(s, "c", "3");
	refuse = "b";
	assert_int_equal(net_state_undo(s, undo, NULL), -EPERM);
	net_state_close(s);
	s = open_state("vif1.0");
	assert_null(net_state_get(s, "a"));
	assert_string_equal(net_state_get(s, "b"), "2");
	refuse = "";
	undone[0] = '\0';
	assert_int_equal(net_state_undo(s, undo, NULL), 0);
	assert_string_equal(undone, "b(2) ");
	net_state_close(s);
}

/* A line without its end; and the next line is not glued to it. */
static void test_cut_off(void **state)
{
	struct net_state *s;

	(void)state;
	append("vif1.0.vif", "tap\nmtu=15");
	s = open_state("vif1.0");
	assert_null(net_state_get(s, "mtu"));
	assert_int_equal(net_state_add(s, "up", ""), 0);
	net_state_close(s);
	s = open_state("vif1.0");
	assert_string_equal(net_state_get(s, "tap"), "");
	assert_string_equal(net_state_get(s, "up"), "");
	assert_int_equal(net_state_undo(s, undo, NULL), 0);
	assert_string_equal(undone, "up() tap() ");
	net_state_close(s);
}

static void test_shared(void **state)
{
	struct net_state *a = open_state("vif1.0"), *b;

	(void)state;
	net_state_add(a, "share x", "");
	assert_int_equal(net_shared_add(a, "x", "0"), 0);
	assert_int_equal(net_shared_add(a, "x", "1"), 0);
	assert_false(net_state_others(a, "share x"));
	net_state_close(a);
	b = open_state("vif2.0");
	assert_true(net_state_others(b, "share x"));
	assert_false(net_state_others(b, "share y"));
	assert_string_equal(net_shared_get(b, "x"), "0");
	assert_int_equal(net_shared_forget(b, "x"), 0);
	assert_int_equal(net_shared_forget(b, "x"), 0);
	assert_false(there("shared.vifs"));
	net_state_close(b);
}

static void test_nonsense(void **state)
{
	struct net_state *s;
	char *long_line = malloc(NET_LINE_MAX + 2);

	(void)state;
	memset(long_line, 'x', NET_LINE_MAX);
	strcpy(long_line + NET_LINE_MAX, "\n");
	append("vif1.0.vif", long_line);
	assert_int_equal(net_state_open(dir, "vif1.0", true, &s), -EBADMSG);
	assert_null(s);
	for (unsigned i = 0; i <= NET_LINES_MAX; i++)
		append("vif2.0.vif", "x\n");
	assert_int_equal(net_state_open(dir, "vif2.0", true, &s), -EBADMSG);
	free(long_line);
}

static void count(void *arg, const char *dev)
{
	assert_true(strcmp(dev, "vif1.0") == 0 || strcmp(dev, "vif2.0") == 0);
	++*(unsigned *)arg;
}

static void test_list(void **state)
{
	unsigned n = 0;

	(void)state;
	append("vif1.0.vif", "tap\n");
	append("vif2.0.vif", "tap\n");
	append("vif1.0.vif.new", "tap\n");
	append("shared.vifs", "x=0\n");
	append("lock", "");
	assert_int_equal(net_state_list(dir, count, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(net_state_list("/tmp/there-is-no-such-folder", count, &n), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	};

	return cmocka_run_group_tests_name("net_state", tests, NULL, NULL);
}
