/* sup_priv.h - the supervisor's own structures. Private to recovery/super.
 *
 *   sup ── groups ── devices        a group shares one stub: one device, all of a VM, or all (placement)
 *            └── processes          active, standby, and former ones that are still dying
 *
 * Rules: a process refers to its devices by slot and a device may go first (the slot is then NULL); a device is freed only
 * when no process refers to it. Everything is one thread's.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_PRIV_H
#define BULKHEAD_RECOVERY_SUPER_SUP_PRIV_H

#include "recovery/ctl/ctl_server.h"
#include "recovery/journal/jrnl_fmt.h"
#include "recovery/super/keep_client.h"
#include "recovery/super/sup.h"
#include "recovery/super/sup_class.h"
#include "recovery/super/sup_dirs.h"
#include "recovery/super/sup_fsm.h"
#include "recovery/super/sup_health.h"
#include "recovery/super/sup_policy.h"
#include "recovery/super/sup_state.h"
#include "ring/hv/hv.h"
#include "ring/os/stub_wire.h"
#include "xenstore-glue/bus/xenbus_end.h"

#include <signal.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define SUP_START_NS (5 * NS_PER_S)    /* from the start of a stub to its word that it works */
#define SUP_GO_NS (2 * NS_PER_S)       /* from GO to RESUMED */
#define SUP_DRAIN_NS (50 * NS_PER_MS)  /* planned restart: what was taken is answered, then it exits */
#define SUP_CLOSE_NS NS_PER_S	       /* the same when the connection is closed */
#define SUP_KILL_NS (200 * NS_PER_MS)  /* after that time, the exit itself */
#define SUP_PROBE_NS (10 * NS_PER_S)
#define SUP_STANDBY_NS (2 * NS_PER_MS) /* from RESUMED to the next standby: the first answers go first */

struct sup_dev;
struct sup_group;
struct sup_held;
struct sup_helper;

/* One device in one process. */
struct proc_dev {
	struct sup_dev *dev; /* NULL: has left */
	int poke[CONN_QUEUES_MAX]; /* our ends; -1: none */
	struct health health[CONN_QUEUES_MAX];
	bool answered[CONN_QUEUES_MAX];
	bool said;	     /* CONNECTED or RESUMED; a standby: READY */
	uint64_t requests;   /* answered in this connection when it took over */
};

struct sup_proc {
	LIST_ENTRY(sup_proc) link;
	struct sup *sup;
	struct sup_group *group;
	uint64_t serial;
	pid_t pid;
	int pidfd, ctl, far; /* struct spawned */
	struct loop_fd on_death, on_msg;
	struct loop_timer deadline, health;
	bool standby, adopted;
	bool ready;	  /* standby: GO may be sent; active: every device said CONNECTED or RESUMED */
	bool hung, asked; /* we killed it for a hang; an operator asked for its death */
	bool draining;
	uint64_t started, since; /* since: took over */
	char why[168];	  /* what it said when it failed */
	unsigned ndevs;
	struct proc_dev dev[];
};

/* A stub of no device yet; pid 0: none. */
struct sup_blank {
	struct sup *sup;
	const struct sup_class *class;
	pid_t pid;
	int pidfd, ctl, far; /* struct spawned */
	bool ready;
	struct stat program; /* that it runs */
	struct loop_fd on_death, on_msg;
	struct loop_timer again;
};

struct sup_group {
	LIST_ENTRY(sup_group) link;
	struct sup *sup;
	const struct sup_class *class;
	uint32_t domid, devid; /* CTL_ALL: any */
	LIST_HEAD(, sup_dev) devs;
	struct sup_proc *active, *standby;
	bool changed;	  /* the set of devices is no longer the active one's: it is drained */
	bool replacing;	  /* planned restart: waits for a new standby, or drains */
	bool own_fault;	  /* of the last active one */
	bool gone_over;	  /* sup_group_go() has done it */
	struct loop_timer start, spare; /* a start after a pause; the next standby */
	struct loop_work run;
	uint64_t went;	   /* when the last GO was sent, or start of an active one begun */
	uint64_t pause_ns; /* before the next standby */
	struct sup_policy policy;
};

/* A disk. */
struct sup_vbd {
	struct vbd_wanted wanted;
	char spec[SPEC_MAX];	/* the engine's part */
	int image; /* the reservation; -1 */
	bool yields; /* it may be IMAGE_YIELD */
	uint64_t closed_up_at; /* when that was last tried */
	uint64_t image_dev, image_ino, fence_base;
	struct vbd_offer offer;
};

/* A network interface. */
struct sup_vif {
	struct vif_wanted wanted;
	struct vif_offer offer;
	struct vif_ask ask;
	struct spec port;     /* the netport's part of params, with the filter that holds */
	bool filtered;	      /* an operator has set one, which counts instead of that of params until it is detached: */
	struct net_filter filter;
	char tap[16];	      /* it is made; "": not, or no tap is wanted. A toolstack's script may give it another name: */
	unsigned tap_index;   /* of that interface; 0: not known */
	uint32_t nfds;
	int fd[2 * CONN_QUEUES_MAX]; /* a tap's queues; of a pair's wires, one for each queue, both ends */
	int steer;	      /* of a tap: the map by which the guest's mapping moves packets; -1: none */
	bool steered;	      /* the program that reads it is attached */
	uint32_t side;	      /* of a pair: ours */
	uint32_t drain_ms, stall_ms;
	char guest[160];      /* what the VM is to use, as VIF_GUEST has it; "": nothing is settled */
	bool stalled;	      /* its carrier is down for that */
	bool script_runs;     /* state 4 waits for it */
	bool mcast_reading, mcast_again; /* the frontend's wish is being read; has changed since */
	struct xsc_watch rate, hotplug, mcast;
};

struct sup_port {
	struct hv_port *port; /* NULL when adopted */
	int fd[HV_PORT_FDS];
	uint32_t local;
};

struct sup_dev {
	LIST_ENTRY(sup_dev) link; /* of its group */
	struct sup *sup;
	struct sup_group *group;
	const struct sup_class *class;
	uint32_t type, domid, devid;
	uint64_t serial;
	enum ctl_state state;
	char vdev[16], domain[64];
	bool hvm; /* its toolstack says so: a QEMU emulates hardware for it */
	struct xenbus_end *end; /* its nodes in xenstore; NULL: gone */
	uint8_t uuid[16];

	/* wanted and offered */
	struct sup_helper *helper; /* an offer under way; NULL: none */
	bool want_standby;
	uint64_t hang_ns;
	uint32_t poll_us;
	struct loop_timer again; /* it was refused: look again */
	union { /* by type */
		struct sup_vbd vbd;
		struct sup_vif vif;
	};

	/* connected */
	struct conn_id conn;
	uint64_t epoch;
	bool connected; /* the journal is valid */
	bool has_journal;
	int jfd;	/* only for pread; -1 */
	uint32_t nports, port_nfds;
	struct sup_port port[SUP_PORTS_MAX]; /* of each queue one or two, then the control ring's */

	bool resumed, domain_gone, reset;
	struct loop_timer lost; /* look again after its nodes */
	bool put_back; /* its nodes are of our making: no toolstack will remove them */
	bool refused; /* whoever attached it was told so: not offered any more */
	uint64_t asked; /* when its offer was asked for */
	bool gone; /* freed already, but for the work below */
	uint64_t generation, restarts, died_at, last_outage, up_since;
	uint64_t size_looked_at, size_seen; /* by us, at the image: when, and how many bytes */
	bool size_asked; /* the stub, for what it serves */
	char text[160];
	struct loop_work save;
};

struct sup {
	struct loop *loop;
	struct sup_options o;
	struct sup_dirs dirs;
	int lock;
	struct hv *hv;
	struct loop_fd domains;
	struct loop_timer look; /* at the domains */
	struct keep_client keep;
	struct loop_timer keep_again;
	struct ctl_server *ctl;
	struct sup_bus *bus;
	struct loop_timer stop_poll;
	LIST_HEAD(, sup_group) groups;
	LIST_HEAD(, sup_proc) procs;
	LIST_HEAD(, sup_held) held;
	LIST_HEAD(, sup_helper) helpers;
	LIST_HEAD(, sup_leaving) leaving;
	struct sup_blank blank[SUP_CLASSES];
	uint64_t serial;
	bool stopping, maptrack_said, steer_said;
	struct health_steal steal;
	uint64_t steal_at; /* when it was read */
	uint64_t poll_us; /* poll-us= where it is not given */
};

/* The user that stubs of this domain run as; 0: our own. */
uint32_t sup_stub_uid(const struct sup *s, uint32_t domid);

/* sup_dev.c - devices and what their events do */
static inline struct dev_id sup_dev_id(const struct sup_dev *d)
{
	return (struct dev_id){.type = d->type, .domid = d->domid, .devid = d->devid};
}
/* Queues of the connection; 0: there is none. */
static inline uint32_t sup_dev_queues(const struct sup_dev *d) { return d->nports ? d->conn.nqueues : 0; }
struct sup_dev *sup_dev_new(struct sup *s, struct dev_id id);
struct sup_dev *sup_dev_find(struct sup *s, struct dev_id id);
void sup_dev_free(struct sup_dev *d); /* reservation, ports, journal, state file: all goes */
void sup_dev_abandon(struct sup_dev *d); /* only what we hold of it: a successor may go on */
void sup_dev_event(struct sup_dev *d, enum sup_event ev);
void sup_dev_save(struct sup_dev *d); /* soon */
void sup_dev_save_now(struct sup_dev *d);
void sup_dev_text(struct sup_dev *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Writes an event for whoever listens, and a line to the log. */
void sup_note(struct sup_dev *d, enum ctl_event_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum sup_loudness { SUP_QUIET, SUP_SAY, SUP_WARN };
void sup_note_event(struct sup *s, struct ctl_event *e, enum sup_loudness how);
/* True while the device takes part in its group's stub. */
bool sup_dev_runs(const struct sup_dev *d);

/* sup_domain.c - whose domain runs, is shut down, or gone */
int sup_domains_open(struct sup *s);
void sup_domains_close(struct sup *s);
void sup_domains_check(struct sup *s); /* asks for all, and tells the devices */
void sup_domain_await(struct sup *s);  /* a device is suspended: looks again and again */
/* True unless the provider says that it is shut down or gone: its ring may be replayed. One hypercall, or none. */
bool sup_domain_runs(const struct sup_dev *d);

/* sup_offer.c - what comes of an offer, and the options that all devices have */
void sup_offer_start(struct sup_dev *d); /* ends in SUP_EV_OFFERED or SUP_EV_REFUSED */
void sup_offer_stop(struct sup_dev *d);
/* d->text says why not. passes: it may be offered soon. Looked at again, unless it is refused for good; soon: in a moment, unsaid. */
void sup_offer_refused(struct sup_dev *d, bool passes);
void sup_offer_refused_now(struct sup_dev *d); /* and not looked at again */
void sup_offer_soon(struct sup_dev *d);
void sup_offer_made(struct sup_dev *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts ours in the place of the toolstack's script, in its folder (libxl reads the node when it has seen InitWait), so that it says
 * why a device is refused. found: only if it is there. */
void sup_offer_script(const struct sup_dev *d, const char *script, const char *ours, bool found, struct xs_kvs *kvs);
int sup_offer_number(struct spec *sp, const char *key, uint64_t max, uint64_t *v, struct sup_dev *d);
/* Takes standby=, hang-ms=, poll-us= and the like out of sp. -EINVAL: d->text says why. */
int sup_offer_options(struct sup_dev *d, struct spec *sp, uint64_t poll_us);

/* sup_helper.c - processes that do one thing and end. ctl: the socket on which it may have said something, closed after the call. */
struct spawn_plan;
typedef void sup_helper_fn(void *arg, int ctl, const siginfo_t *si);
/* ended is called with arg unless it is stopped before; killed after ns. what: it works on, at most 15 characters. *out, if not NULL: it,
 * until ended is called. 0, or why it can not be started. */
int sup_helper_run(struct sup *s, struct sup_helper **out, const char *what, const struct spawn_plan *plan, uint64_t ns, sup_helper_fn *ended,
		   void *arg);
/* One that a predecessor of ours has left: it may work on anything. */
void sup_helper_adopt(struct sup *s, pid_t pid, uint64_t ns);
bool sup_helper_runs(const struct sup *s, const char *what); /* one that works on it, or may */
void sup_helper_stop(struct sup_dev *d); /* the one of d, if any, is killed, and d is not told */
void sup_helper_forget(struct sup_helper *h); /* it goes on, and nobody is told */

/* sup_vbd_offer.c - a disk's image: opened, reserved, probed */
uint64_t sup_vbd_poll_us(void); /* what poll-us= is on this machine when it is not given */
void sup_vbd_offer(struct sup_dev *d);
void sup_vbd_reserve(struct sup_dev *d);    /* again, for a connection that lives: the keeper has lost the reservation */
void sup_vbd_close_up(struct sup_dev *d, uint64_t now); /* of a connected one, now and then: IMAGE_YIELD becomes IMAGE_WRITE */
int sup_vbd_options(struct sup_dev *d);	    /* only the options of wanted.params; on failure d->text says why */
void sup_vbd_release(struct sup_dev *d);    /* the reservation goes; mem: its store as well */

/* sup_resize.c - a disk whose storage grows or shrinks */
void sup_resize_look(struct sup_dev *d, uint64_t now); /* of a device that is served; seldom, and never waits */
void sup_resize_serves(struct sup_dev *d, uint64_t sectors); /* what a stub says that begins to serve */
void sup_resize_said(struct sup_dev *d, const struct stub_msg *m); /* RESIZED */
/* bytes 0: only looks; else for a memory disk. 0, text then says what it waits for, or is empty; or negative errno with text. */
int sup_resize(struct sup_dev *d, uint64_t bytes, char *text, size_t size);

/* sup_vif.c */
void sup_vif_offered(struct sup_dev *d);
/* sup_vif_attach.c - its tap and the host's network, by wanted.mode. Ends in sup_vif_offered() or sup_offer_refused(). */
#define SUP_VIF_PROGRAM "bulkhead-vif"
#define SUP_VIF_NS (8 * NS_PER_S) /* libxl and bulkhead(1) wait for 10 s */
bool sup_vif_attaches(const struct sup_dev *d); /* there is something to be done by it, if only antispoof beside a toolstack's script */
int sup_vif_attach(struct sup_dev *d);
void sup_vif_detach(struct sup_dev *d);
int sup_vif_detach_run(struct sup *s, struct sup_helper **out, const char *tap, sup_helper_fn *ended, void *arg); /* one try; as sup_helper_run() */

/* sup_vif_leave.c - what is detached, until it is; over failures, and our own death */
void sup_vif_leave(struct sup *s, const char *tap);
void sup_vif_leave_adopt(struct sup *s); /* what a predecessor has not finished; when the devices are adopted */
void sup_vif_leave_close(struct sup *s); /* stops trying, for a successor to go on */

/* sup_vif_mcast.c - whether the guest's list of multicast groups counts */
/* names, of a directory's children, each with its NUL: name is among them. */
bool sup_vif_named(const char *names, size_t len, const char *name);
void sup_vif_mcast_follow(struct sup_dev *d);
void sup_vif_mcast_unfollow(struct sup_dev *d);
void sup_vif_mcast_tell(struct sup_dev *d);

/* sup_vif_filter.c - what is done to its packets, for experiments */
int sup_vif_filter(struct sup_dev *d, const char *options, char *text, size_t size); /* CTL_FILTER */
void sup_vif_filter_put(struct sup_dev *d); /* what an operator has set, if anything, into d->vif.port */
void sup_vif_filter_text(const struct sup_dev *d, char text[NET_FILTER_TEXT]);

/* sup_vif_steer.c - whether the guest's hash mapping chooses the queue of a packet */
void sup_vif_steer_open(struct sup_dev *d); /* a tap's queues are open: a map, if its guest may want it */
void sup_vif_steer_adopt(struct sup_dev *d); /* the keeper's descriptors are in vif.fd: the last one may be the map */
void sup_vif_steer_close(struct sup_dev *d);
void sup_vif_steer(struct sup_dev *d); /* attaches the program, once the guest has a say */
enum ctl_steer sup_vif_steer_status(const struct sup_dev *d);

/* sup_vif_port.c - a vif's netport. d->text, or err, says what is wrong. */
bool sup_vif_port_leaving(const struct sup_dev *d); /* a tap of the name that it is to have is still being detached */
int sup_vif_port_take(struct sup_dev *d);    /* while it is offered: a tap is made, an end of a pair is taken */
void sup_vif_port_leave(struct sup_dev *d);
void sup_vif_port_found(struct sup_dev *d); /* a tap may have been given another name */
int sup_vif_port_open(struct sup_dev *d, char *err, size_t size); /* for a connection: a tap's queues */
void sup_vif_port_close(struct sup_dev *d);
int sup_vif_port_fd(const struct sup_dev *d, uint32_t queue); /* a stub's; -1: it needs none */
void sup_vif_port_deposit(struct sup_dev *d);
void sup_vif_port_adopt(struct sup_dev *d);
void sup_vif_port_carrier(struct sup_dev *d, bool on);

/* sup_twin.c - two domains of one VM, during a migration */
/* The other domain's reservation of this image, shared: a descriptor; -EAGAIN: it is not for d to have. */
int sup_twin_reserve(const struct sup_dev *d, uint64_t dev, uint64_t ino);
/* d is about to be connected: who has its image as well lets go. -EBUSY: that domain runs; err says so. */
int sup_twin_leave(struct sup_dev *d, char *err, size_t size);
/* A device but this one holds the (one) reservation of that image. */
bool sup_twin_reserves(const struct sup *s, const struct sup_dev *but, uint64_t dev, uint64_t ino);

/* sup_held.c - reservations of devices that were let go, until the I/O of their dead stubs has ended */
void sup_held_take(struct sup *s, int fd); /* owns fd from now on */
void sup_held_adopt(struct sup *s, const char *name); /* what the keeper holds under a name that is no living device's */
enum sup_held_for { SUP_HELD_NOT, SUP_HELD_SHORTLY, SUP_HELD_LONG };
enum sup_held_for sup_held_has(const struct sup *s, uint64_t dev, uint64_t ino);
void sup_held_deposit(struct sup *s);
void sup_held_close(struct sup *s);

/* sup_conn.c - the connection: record, journal, ports */
int sup_conn_make(struct sup_dev *d, char *err, size_t size); /* d->conn is filled in, by the class and sup_conn_record() */
void sup_conn_record(struct sup_dev *d); /* what all connections have, and a new epoch; the rest is zero */
uint32_t sup_conn_per_queue(const struct conn_id *c); /* ports: 1 or 2 */
/* All of the connection's; *bad: the event channel that can not be bound. */
int sup_conn_bind(struct sup_dev *d, uint32_t *bad);
void sup_conn_forget(struct sup_dev *d);
/* An event, or a packet, is there that the queue's worker has not taken. Looks at descriptors that it shares with the stub, and no more. */
bool sup_conn_waits(const struct sup_dev *d, uint32_t queue);
int sup_journal_path(const struct sup_dev *d, char path[STUB_PATH_MAX]);
int sup_journal_open(struct sup_dev *d); /* for pread */
int sup_journal_stats(const struct sup_dev *d, uint32_t queue, struct jrnl_stats *st);
uint64_t sup_journal_requests(const struct sup_dev *d); /* answered, over all queues */
/* Generation that owns a valid journal, 0 when there is none. */
uint64_t sup_journal_generation(const struct sup_dev *d);
void sup_conn_deposit(struct sup_dev *d);
void sup_journals_sweep(struct sup *s); /* removes those of no device: their maker died before it could say so */

/* sup_proc.c - processes of stubs */
struct sup_proc *sup_proc_new(struct sup *s, struct sup_group *g, unsigned ndevs);
int sup_proc_start(struct sup_group *g, bool standby); /* from the group's running devices */
int sup_proc_watch(struct sup_proc *p);
void sup_note_death(const struct sup_proc *p, struct ctl_event *e);
void sup_proc_deposit(struct sup_proc *p);
void sup_proc_kill(struct sup_proc *p);
/* To whoever serves the device, or will: each finds its own index in m->dev. */
void sup_proc_tell(const struct sup_dev *d, struct stub_msg *m);
void sup_proc_drain(struct sup_proc *p, uint64_t ns);
void sup_proc_free(struct sup_proc *p); /* lets go of a living one as well */
bool sup_dev_has_procs(const struct sup_dev *d);
void sup_proc_deadline(struct sup_proc *p, uint64_t ns);

/* sup_blank.c - one stub that has started ahead, for any device of a kind */
struct spawned;
void sup_blank_want(struct sup *s, const struct sup_class *class); /* soon */
/* As sup_spawn(), by it. -EAGAIN: there is none that would do. */
int sup_blank_take(struct sup *s, const struct sup_class *class, const struct spawn_plan *p, struct spawned *out);
void sup_blank_end(struct sup *s);
bool sup_blank_is(const struct sup *s, pid_t pid);

/* sup_msg.c - what stubs say */
void sup_msg_ready(struct loop_fd *w, uint32_t events);
void sup_msg_drain(struct sup_proc *p); /* all that is there */
void sup_dev_assume_resumed(struct sup_proc *p, unsigned slot);

/* sup_group.c - which process serves a group */
struct sup_group *sup_group_of(struct sup *s, const struct sup_class *class, uint32_t domid, uint32_t devid);
void sup_group_leave(struct sup_dev *d);
bool sup_group_full(const struct sup_group *g); /* its stub can serve no further device */
void sup_group_free(struct sup_group *g); /* an empty one */
void sup_group_kick(struct sup_group *g); /* soon: brings what runs in line with what should; frees an empty group */
/* The set of devices changed. drain_ns 0: the active one is killed, unless it serves others as well. */
void sup_group_change(struct sup_group *g, uint64_t drain_ns);
void sup_group_replace(struct sup_group *g); /* planned restart */
void sup_group_settled(struct sup_group *g); /* a device of the active one is up: if all are, time for a standby */
/* p is dead. go: at once and first of all, if it was the active one and a standby waits. died: all the rest; e is told of
 * when whoever serves next is on its way. */
void sup_group_go(struct sup_group *g, struct sup_proc *p, bool own_fault);
void sup_group_died(struct sup_group *g, struct sup_proc *p, bool own_fault, uint64_t now, struct ctl_event *e);
void sup_group_ready(struct sup_group *g); /* the standby is */

/* sup_watch.c - health */
void sup_watch_start(struct sup_proc *p);

/* sup_adopt.c */
void sup_adopt(struct sup *s);

/* sup_status.c */
extern const struct ctl_ops sup_ctl_ops;

/* sup_lost.c - its nodes are missing: a toolstack's wish, or a store that forgot. May free d. */
void sup_lost(struct sup_dev *d);

/* sup_bus.c - xenstore */
int sup_bus_open(struct sup *s, char *err, size_t size);
void sup_bus_close(struct sup *s);
void sup_bus_offer(struct sup_dev *d);	/* the answer to PREPARE: state 2 */
/* It can not be offered: d->text. Whoever attaches it is told at once, if it was never offered yet and this does not pass by itself;
 * then it stays refused until it is detached: true. False: it may be tried again. */
bool sup_bus_refuse(struct sup_dev *d, bool passes);
bool sup_bus_waits(const struct sup_dev *d); /* the frontend waits for state 4 */
void sup_bus_online(struct sup_dev *d); /* state 4 */
void sup_bus_rewrite(struct sup_dev *d); /* what may change (up_keys), and the state once more: the frontend looks at it again */
void sup_bus_closed(struct sup_dev *d); /* state 6, also when the frontend did not ask */
void sup_bus_domain_gone(struct sup_dev *d);
void sup_bus_gone(struct sup_dev *d); /* its nodes are: the connection ends, and d with it, maybe at once */
struct xsc *sup_bus_store(struct sup *s);
uint32_t sup_bus_self(const struct sup *s); /* our domain: 0, or a driver domain's */
void sup_bus_error(struct sup_dev *d, const char *text); /* NULL clears */
void sup_bus_forget(struct sup_dev *d); /* the device is let go: nothing is called back any more */

#endif
