#!/bin/bash
# A vif written as xl writes it, with the script that xl would run: the tap bears the name that scripts expect and is there before state 2; state 4
# waits for hotplug-status; the name that the script gives it is followed, also by a successor and a second connection; nothing is left.
# Which vifs are served with --vifs marked; what the script says of a refused one; with vif-bulkhead-antispoof nobody hears the guest lie.
# In a network of its own, whose /sys is seen as well.
# shellcheck disable=SC2016 # the inner shell expands it
[ -n "${OWN_NET:-}" ] || [ "$(id -u)" != 0 ] || exec env OWN_NET=1 unshare -nm sh -c 'mount -t sysfs sys /sys && exec "$0"' "$0"
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/net_functions.sh"
need xenstore-read nft
WHY=$(net_missing)
[ -z "$WHY" ] || skip "$WHY"

world_up --vifs marked
bh create A >/dev/null || fail "create"
ip netns add "${NS}A" || fail "a namespace"
at_exit "ip netns del ${NS}A"
export XENSTORED_PATH=$BULKHEAD_RUNTIME_DIR/store.sock
front() { echo "/local/domain/1/device/vif/$1"; }
back() { echo "/local/domain/0/backend/vif/1/$1"; }
state() { [ "$(xenstore-read "$(back "$1")/state")" = "$2" ]; }
link() { ip link show "$1" 2>/dev/null; }
no_link() { ! link "$1"; }

# vif N SCRIPT [NODE VALUE]...: at both ends.
vif() {
	local f b mac=00:16:3e:00:00:0$1
	f=$(front "$1") b=$(back "$1")
	xenstore-write "$f/backend" "$b" "$f/backend-id" 0 "$f/handle" "$1" "$f/mac" "$mac" "$f/state" 1 || fail "the frontend's nodes can not be written"
	xenstore-chmod -r "$f" n1 r0 || fail "chmod"
	xenstore-write "$b/frontend" "$f" "$b/frontend-id" 1 "$b/online" 1 "$b/script" "$2" "$b/mac" "$mac" "$b/handle" "$1" "$b/type" vif \
		"$b/hotplug-status" "" "${@:3}" "$b/state" 1 || fail "the backend's nodes can not be written"
	xenstore-chmod -r "$b" n0 r1 || fail "chmod"
}

# The scripts' folder: ours beside stand-ins for Xen's.
mkdir "$T/scripts"
cp tools/xen/vif-bulkhead "$T/scripts/"
ln -s vif-bulkhead "$T/scripts/vif-bulkhead-nat"
cat >"$T/scripts/vif-bridge" <<'E2'
#!/bin/sh
set -e
echo "$(basename "$0") $*" >>"$(dirname "$0")/ran"
[ "$1" = online ] || exit 0
name=$(xenstore-read "$XENBUS_PATH/vifname" 2>/dev/null) || name=$vif
[ "$name" = "$vif" ] || ip link set "$vif" name "$name"
bridge=$(xenstore-read "$XENBUS_PATH/bridge" 2>/dev/null) && ip link set "$name" master "$bridge"
ip link set "$name" up
xenstore-write "$XENBUS_PATH/hotplug-status" connected
E2
chmod +x "$T/scripts/vif-bridge"
cp "$T/scripts/vif-bridge" "$T/scripts/vif-nat"
# script NAME N COMMAND
script() { vif=vif1.$2 XENBUS_PATH=backend/vif/1/$2 "$T/scripts/$1" "$3" type_if=vif; }

vif 1 "$T/scripts/vif-bridge"
vif 0 "$T/scripts/vif-bulkhead-nat" "$(back 0)/vifname" web
wait_for 5 "offer" state 0 2
link vif1.0 >/dev/null || fail "there is no vif1.0 for the script"
net_front A & # it waits for state 4
starting=$!
front_connected() { [ "$(xenstore-read "$(front 0)/state")" = 4 ]; }
wait_for 10 "the frontend's state 4" front_connected
wait_for 5 "a stub" state_is A vif0 up
state 0 2 || fail "connected before the script has run: state $(xenstore-read "$(back 0)/state")"
script vif-bulkhead-nat 0 online || fail "the script"
[ "$(cat "$T/scripts/ran")" = "vif-nat online type_if=vif" ] || fail "not vif-nat was run: $(cat "$T/scripts/ran")"
wait_for 5 "state 4" state 0 4
wait $starting || fail "the frontend"
[ "$(field A vif0 net.interface)" = web ] || fail "its interface is not web but $(field A vif0 net.interface)"
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
wait_for 10 "stub of the next supervisor" state_is A vif0 up
[ "$(field A vif0 net.interface)" = web ] || fail "its interface is not web but $(field A vif0 net.interface) for the next supervisor"
net_front_end A
wait_for 10 "state 6" state 0 6
net_front A
wait_for 10 "state 4 of a second connection" state 0 4
link web | grep -q LOWER_UP || fail "web has no carrier: $(link web)"
no_link vif1.0 || fail "a second tap was made"
state 1 1 || fail "vif1, which is not marked, was served: state $(xenstore-read "$(back 1)/state")"

net_front_end A
xenstore-write "$(back 0)/online" 0 "$(back 0)/state" 5
wait_for 5 "state 6" state 0 6
script vif-bulkhead-nat 0 offline || fail "the script, offline"
xenstore-rm "$(back 0)"
wait_for 5 "end of the tap" no_link web

# Its packets are watched from before the script runs until it is gone.
ln -s vif-bulkhead "$T/scripts/vif-bulkhead-antispoof"
ln -s vif-bulkhead "$T/scripts/vif-bulkhead-antispoof-openvswitch"
net_bridge
ip addr add 198.18.0.254/24 dev "$BR"
vif 0 "$T/scripts/vif-bulkhead-antispoof" "$(back 0)/bridge" "$BR" "$(back 0)/ip" 198.18.0.1
wait_for 10 "offer" state 0 2
nft list table netdev bulkhead-vif1.0 >"$T/nft" 2>&1 || fail "nothing watches vif1.0: $(cat "$T/nft")"
net_front A &
starting=$!
wait_for 10 "the frontend's state 4" front_connected
script vif-bulkhead-antispoof 0 online || fail "the script"
[ "$(tail -n 1 "$T/scripts/ran")" = "vif-bridge online type_if=vif" ] || fail "not vif-bridge was run: $(cat "$T/scripts/ran")"
wait $starting || fail "the frontend"
wait_for 5 "state 4" state 0 4
answers() { ns A ping -c 1 -W 1 "$@" 198.18.0.254 >/dev/null; }
honest() {
	ns A ip addr replace 198.18.0.1/24 dev eth0
	wait_for 10 "ping $1" answers
}
lies() {
	ns A ip addr add 198.18.0.66/24 dev eth0
	answers -I 198.18.0.66 && fail "a false address is answered $1"
	ns A ip addr del 198.18.0.66/24 dev eth0
	ns A ip link set eth0 address 00:16:3e:00:00:99
	answers && fail "a false MAC is answered $1"
	ns A ip link set eth0 address 00:16:3e:00:00:00
	honest "after lies, $1"
}
honest "by its own address"
lies "at first"
kill -9 "$(cat "$BULKHEAD_RUNTIME_DIR/bulkheadd.pid")"
wait_for 10 "stub of the next supervisor" state_is A vif0 up
bh kill A vif0 || fail "kill"
wait_for 10 "its successor" state_is A vif0 up
lies "after deaths"
net_front_end A
xenstore-write "$(back 0)/online" 0 "$(back 0)/state" 5
wait_for 5 "state 6" state 0 6
script vif-bulkhead-antispoof 0 offline || fail "the script, offline"
xenstore-rm "$(back 0)"
wait_for 5 "end of the tap" no_link vif1.0
no_table() { ! nft list table netdev bulkhead-vif1.0; }
wait_for 5 "end of its table" no_table
vif 3 "$T/scripts/vif-bulkhead-antispoof-openvswitch"
wait_for 5 "refusal" xenstore-exists "$(back 3)/hotplug-error"
grep -q "needs mode=openvswitch" <<<"$(xenstore-read "$(back 3)/hotplug-error")" || fail "refused: $(xenstore-read "$(back 3)/hotplug-error")"
vif 4 "$T/scripts/vif-bulkhead-antispoof" "$(back 4)/vifname" shop
wait_for 5 "refusal" xenstore-exists "$(back 4)/hotplug-error"
grep -q "leave out vifname=shop" <<<"$(xenstore-read "$(back 4)/hotplug-error")" || fail "refused: $(xenstore-read "$(back 4)/hotplug-error")"

# Refused: its name is another's. Then no tap of ours is there at all.
ip link add vif1.2 type bridge || fail "no bridge can be made"
vif 2 "$T/scripts/vif-bulkhead"
wait_for 5 "refusal" xenstore-exists "$(back 2)/hotplug-error"
wait_for 5 "state 2 for libxl" state 2 2
out=$(script vif-bulkhead 2 online) && fail "the script attaches what was refused"
grep -q "vif1.2.*another interface has its name" <<<"$out" || fail "the script does not say why: $out"
script vif-bulkhead 2 offline || fail "the script keeps a vif from being removed"
xenstore-rm "$(back 2)/hotplug-error"
out=$(script vif-bulkhead 2 online) && fail "the script attaches the kernel's interface"
grep -q "not offered by Bulkhead" <<<"$out" || fail "the script does not say why: $out"
