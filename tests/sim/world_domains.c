/* The simulated world's domains: destroyed, suspended, and running again. */
#include "tests/sim/sim_hv.h"
#include "tests/sim/world.h"

#include <signal.h>
#include <sys/wait.h>

#define SHUT_NS (60 * NS_PER_MS) /* a domain, at most so long */

/* Its processes stand still, as a guest's do; the backends are told, if the store hears of it in time. */
void world_domain_suspend(unsigned domain)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].domain == domain && world->dev[i].spare)
			return;
	if (world->shut_until[domain])
		return;
	world_out->suspended++;
	world->shut_until[domain] = os.now + 1 + crash_below(&os.rng, world_chance(50) ? SHUT_NS : SHUT_NS / 20);
	sim_hv_shutdown(world->sim, world->domain[domain]);
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].domain == domain && world->dev[i].guest)
			world->dev[i].guest->frozen = true;
	if (world_chance(70))
		world_domain_gone();
}

/* Nobody is told of it. */
static void resume(unsigned domain)
{
	world->shut_until[domain] = 0;
	sim_hv_resume(world->sim, world->domain[domain]);
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].domain == domain && world->dev[i].guest)
			world->dev[i].guest->frozen = false;
	os_wake();
}

void world_domain_destroy(unsigned domain)
{
	hv_domid_t dom = world->domain[domain];

	world->shut_until[domain] = 0;
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].dom == dom) {
			if (world->dev[i].spare)
				return;
			world->dev[i].phase = DEV_DESTROYED;
			if (world->dev[i].guest && world->dev[i].guest->state == OS_ALIVE)
				os_kill(world->dev[i].guest, CLD_KILLED, SIGKILL);
		}
	world_out->destroyed++;
	sim_hv_destroy(world->sim, dom);
	os.atomic = true;
	os.as = world->hub_proc;
	hub_store_domain(&world->hub, dom, false);
	os.as = NULL;
	os.atomic = false;
	world_domain_gone();
}

uint64_t world_domains_tick(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < world->ndevs; i++) {
		if (!world->shut_until[i])
			continue;
		if (world->shut_until[i] > os.now)
			next = MIN(next, world->shut_until[i]);
		else if (world_chance(20))
			world_domain_destroy(i);
		else
			resume(i);
	}
	return next;
}

void world_domains_run(void)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->shut_until[i])
			resume(i);
}
