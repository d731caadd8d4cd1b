#!/bin/bash
# What fails to be detached from the host's network is tried again, and by the next supervisor: bulkhead-vif is killed as at its deadline (HANG=hang: really
# hangs until then), fails, fails as long as its supervisor lives; each time nothing is left in the end, and the log says so.
# In a network of its own, whose /sys is seen as well.
# shellcheck disable=SC2016 # the inner shell expands it
[ -n "${OWN_NET:-}" ] || [ "$(id -u)" != 0 ] || exec env OWN_NET=1 unshare -nm sh -c 'mount -t sysfs sys /sys && exec "$0"' "$0"
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_functions.sh"
need nft
WHY=$(net_missing)
[ -z "$WHY" ] || skip "$WHY"

# The programs, with a bulkhead-vif whose detach first does what $T/how says, as often as that has lines.
mkdir "$T/bin"
for p in "$BUILD"/bin/*; do ln -s "$p" "$T/bin/"; done
rm "$T/bin/bulkhead-vif"
cat >"$T/bin/bulkhead-vif" <<E2
#!/bin/bash
if [[ " \$* " = *" detach "* ]]; then
	how=\$(head -n 1 "$T/how" 2>/dev/null)
	sed -i 1d "$T/how"
	case \$how in
	hang) exec sleep 60 ;;
	die) kill -9 \$\$ ;; # as at its deadline, which is 8 s off
	fail) exit 111 ;;
	esac
fi
exec "$BUILD/bin/bulkhead-vif" "\$@"
E2
chmod +x "$T/bin/bulkhead-vif"
: >"$T/how"
world_up --libexec "$T/bin"
bh create A >/dev/null || fail "create"
net_bridge
attached() { nft list table netdev bulkhead-vif1.0 >/dev/null 2>&1; }
detached() { ! attached && [ -z "$("$BUILD/bin/bulkhead-vif" --state="$T/run/net" list)" ] && [ ! -e "$T/run/net/vif1.0.leave" ]; }
logged() { [ "$(grep -c "$1" "$T/run/log")" -ge "$2" ]; }
attach() {
	bh attach A vif "devid=0,mac=00:16:3e:00:00:01,bridge=$BR,antispoof=1" >"$T/said" 2>&1 || fail "attach: $(cat "$T/said")"
	attached || fail "nothing is attached"
}
detach() { # HOW... : and the first of it has been
	printf '%s\n' "$@" >"$T/how"
	bh detach A vif0 --force >/dev/null || fail "detach"
}

attach
detach "${HANG:-die}"
wait_for 30 "second try" logged 'vif1.0 could not be detached.*killed' 1
wait_for 10 "end after a death" detached
attach
detach fail fail
wait_for 10 "third try" logged 'vif1.0 could not be detached.*see the log' 2
wait_for 10 "end after failures" detached

# Attached again meanwhile: that holds.
attach
detach fail
wait_for 10 "failure" logged 'vif1.0 could not be detached.*see the log' 3
attach
ready() { [ ! -e "$T/run/net/vif1.0.leave" ]; }
wait_for 10 "end of the tries" ready
attached || fail "a try that came late has detached what was attached again"

# The next supervisor goes on.
detach fail fail fail fail fail fail
wait_for 10 "failure" logged 'vif1.0 could not be detached.*see the log' 4
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
: >"$T/how"
wait_for 20 "end by the next supervisor" detached
echo ok
