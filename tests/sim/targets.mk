# Simulations. The crash tests' buffers are recycled (crash_mem.c), but where a sanitizer wants to see them go.
ifeq ($(SAN),)
$(addprefix $(B)/tests/sim/,test_crash test_crash_all test_crash_mutants): LDFLAGS_ALL += -Wl,--wrap=mmap,--wrap=munmap
endif

sim: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) tests
	@for t in $(filter $(B)/tests/sim/%,$(TESTS)); do $$t || exit 1; done
.PHONY: sim

sim-all: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/tests/sim/test_crash_all
	@N=4 $(B)/tests/sim/test_crash_all
.PHONY: sim-all

# Worlds with vifs, from SEED= (2^40) on, N= of them; RARE=1 takes out every rule, also those that are found seldom.
sim-vifs: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(WORLD)
	@SEED=$${SEED:-1099511627776} N=$${N:-5000} $(WORLD)
	@env -u N -u SEED RARE=1 $(WORLD)
.PHONY: sim-vifs

mutants: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/tests/sim/test_crash_mutants
	@$(B)/tests/sim/test_crash_mutants
.PHONY: mutants

# The simulator (world.h): the hook build of everything, with the system calls that it makes taken over.
WORLD := $(B)/tests/sim/test_world_sim
WORLD_OBJS := $(patsubst %.c,$(B)/hook/%.o,$(wildcard tests/sim/world_*.c) $(addprefix tests/sim/,crash_check.c crash_disk.c \
	ncrash_frame.c sim_hv.c sim_hv_ops.c))
WORLD_WRAP := pthread_create pthread_join pthread_mutex_lock pthread_sigmask epoll_create1 epoll_ctl epoll_wait poll ppoll \
	__ppoll_chk eventfd timerfd_create timerfd_settime signalfd flock fcntl open __open_2 openat unlink unlinkat rename renameat \
	stat access opendir readdir closedir dirfd read __read_chk write pread __pread_chk pwrite ftruncate posix_fallocate fchown \
	fstat mmap recv __recv_chk send sendmsg socketpair accept4 getsockopt setsockopt kill pidfd_send_signal waitid getpid \
	nanosleep sysconf prctl image_size engine_open engine_probe blkback_start close \
	sup_dev_has_procs sup_group_go sup_proc_start hv_domain_state sup_lost sup_fsm xsc_watches_up keep_get policy_died sup_proc_kill health_step \
	ioctl socket if_nametoindex if_indextoname pidfd_open net_lock tap_remove sup_vif_leave njrnl_net_get sup_proc_tell steer_map \
	steer_is_map
$(WORLD): $(B)/hook/tests/sim/test_world_sim.o $(WORLD_OBJS) $(foreach m,$(MODULES),$(call objs,$(m),$(B)/hook))
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD      $@")
	$(Q)rm -f $@.a; ar rcs $@.a $(filter-out $(WORLD_OBJS) %/test_world_sim.o,$^)
	$(Q)$(CC) -o $@ $< $(WORLD_OBJS) -Wl,--start-group $@.a -Wl,--end-group $(addprefix -Wl$(comma)--wrap=,$(WORLD_WRAP)) \
		$(LDFLAGS_ALL) $(TEST_LIBS)
